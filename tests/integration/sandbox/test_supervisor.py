"""What the supervisor survives, tells and tidies up."""

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexcore.infrastructure.sandbox.messages import Hello, Kill, NotWarmed, Plugin, Retire, Start, Warm, Warmed
from tests.integration.sandbox.conftest import reachable
from tests.integration.sandbox.supervised import LIMITS, Server, Supervisor, python_plugin
from tests.servers import wait_until

PROBE = python_plugin("probe", "probe:Probe")
ALWAYS_ENFORCED = {"namespaces", "root", "seccomp", "rlimits", "work_directory", "processes", "memory"}


@pytest.fixture
def plugin_of(tmp_path: Path) -> Iterator[Any]:
    """Make a plugin from source code."""
    reachable(tmp_path)

    def make(code: str, **options: Any) -> Plugin:
        (tmp_path / "made.py").write_text(f"{code}\n\nclass Made:\n def __init__(self, configuration): pass\n")
        with (tmp_path / "made.py").open("a") as file:
            file.write(" def echo(self, **data): return data\n def found(self): return found\n")
        return python_plugin("made", "made:Made", directory=tmp_path, key=f"{tmp_path}-{len(code)}", **options)

    return make


def test_measures_are_told(server: Server, supervisor: Supervisor) -> None:
    assert isinstance(server.hello, Hello)
    measures = {measure.name: measure for measure in server.hello.measures}
    assert measures.keys() >= ALWAYS_ENFORCED | {"landlock", "cgroup_memory", "cgroup_pids", "cgroup_cpu"}
    assert {name for name, measure in measures.items() if measure.enforced} >= ALWAYS_ENFORCED
    assert all(measure.detail for measure in measures.values())


def test_warm_and_retire(server: Server, supervisor: Supervisor, plugin_of: Any) -> None:
    plugin = plugin_of("found = 1")
    server.send(Warm(plugin=plugin, limits=LIMITS))
    assert isinstance(server.next(), Warmed)
    server.send(Warm(plugin=plugin, limits=LIMITS))
    assert server.next() == Warmed(key=plugin.key, ms=0)
    with_it = supervisor.launchers()
    running = server.start(plugin, "echo", execution_id="running")
    assert server.ended("running").how == "exited"
    running.close()
    server.send(Retire(key=plugin.key))
    wait_until(lambda: len(supervisor.launchers() & with_it) < len(with_it), 5, "end of the fork server")


def test_what_can_not_be_imported_is_not_warmed(server: Server, plugin_of: Any) -> None:
    plugin = plugin_of("import absent")
    server.send(Warm(plugin=plugin, limits=LIMITS))
    assert server.next() == NotWarmed(key=plugin.key, error="ModuleNotFoundError: No module named 'absent'")


def test_refused_calls_of_an_import_are_told(server: Server, plugin_of: Any) -> None:
    plugin = plugin_of("import _socket\ntry: _socket.socket()\nexcept OSError: pass")
    server.send(Warm(plugin=plugin, limits=LIMITS))
    warmed = server.next()
    assert isinstance(warmed, Warmed)
    assert [(found.syscall, found.count) for found in warmed.refused] == [("socket", 1)]


HOSTILE = """
import ctypes, mmap, os
found = {}
def attempt(name, action):
    try: found[name] = action() or "done"
    except OSError as error: found[name] = error.errno
libc = ctypes.CDLL(None, use_errno=True)
attempt("fork", os.fork)
attempt("shared memory", lambda: mmap.mmap(-1, 4096) and "mapped")
attempt("shared zeros", lambda: mmap.mmap(os.open("/dev/zero", os.O_RDONLY), 4096, prot=mmap.PROT_READ) and "mapped")
attempt("memory file", lambda: os.memfd_create("x"))
attempt("exec", lambda: os.execv("/usr/bin/true", ["true"]))
attempt("write", lambda: open("/home/plugin/x", "w") and "written")
attempt("write elsewhere", lambda: open("/home/x", "w") and "written")
attempt("kill first", lambda: os.kill(1, 9))
attempt("kill parent", lambda: os.kill(os.getppid(), 0) if os.getppid() else "not there")
found["environment"] = sorted(os.environ)
found["uid"] = os.getuid()
"""


def test_an_import_is_confined(server: Server, plugin_of: Any) -> None:
    found = server.run(plugin_of(HOSTILE), "found").result
    # The first process of a namespace hears nothing from inside, and Landlock may say so.
    assert found["kill first"] in ("done", errno.EPERM)
    assert found["kill parent"] == "not there"
    assert found["environment"] in ([], ["LC_CTYPE"])
    assert found["uid"] == 65534
    for name in ("fork", "shared memory", "shared zeros", "memory file", "exec", "write", "write elsewhere"):
        assert isinstance(found[name], int), (name, found[name])


@pytest.mark.parametrize(
    "code",
    [
        "import os\nfound = os.pipe()\nos.closerange = lambda *_: None",
        "import os\nfound = os.open('/usr/bin/true', os.O_RDONLY)\nos.closerange = lambda *_: None",
        "import os\nfound = 1\nos.setsid = lambda: None",
    ],
    ids=["pipe", "file", "process group"],
)
def test_what_shares_something_with_others_does_not_begin(server: Server, plugin_of: Any, code: str) -> None:
    ended = server.run(plugin_of(code), "echo").ended
    assert ended.how == "not_started"
    assert "the plugin's import" in str(ended.error)


def test_a_fork_server_that_does_not_fork_is_replaced(server: Server, plugin_of: Any) -> None:
    plugin = plugin_of(
        "import os, time\nfound = 1\nfrom flexcore.infrastructure.sandbox.launcher import linux\n"
        "linux.clone = lambda flags: time.sleep(60)"
    )
    ended = server.run(plugin, "echo", wall_seconds=0.5).ended
    assert ended.how == "timed_out"


def test_a_fork_server_can_not_fork_beyond_what_it_is_asked_for(
    server: Server, supervisor: Supervisor, plugin_of: Any
) -> None:
    plugin = plugin_of(
        "import os, time\nfound = 1\n"
        "from flexcore.infrastructure.sandbox.launcher import linux\noriginal = linux.clone\n"
        "def clone(flags):\n"
        "    for _ in range(50):\n"
        "        try:\n"
        "            if original(flags) == 0: time.sleep(60)\n"
        "        except OSError: pass\n"
        "    return 1\n"
        "linux.clone = clone"
    )
    before = supervisor.launchers()
    running = server.start(plugin, "echo", wall_seconds=2)
    wait_until(lambda: bool(supervisor.launchers() - before), 5, "its launcher")
    (launcher,) = supervisor.launchers() - before
    most = 0
    while supervisor.launchers() - before:
        most = max(most, len(supervisor.descendants(launcher)))
    assert server.ended("e1").how == "timed_out"
    running.close()
    # Two that it begins with, and no more than were asked for at a time.
    assert most <= 2 + 4


def test_a_fork_server_that_dies_is_replaced(server: Server, supervisor: Supervisor, plugin_of: Any) -> None:
    plugin = plugin_of("found = 1")
    before = supervisor.launchers()
    running = server.start(plugin, "echo", execution_id="running")
    assert server.ended("running").how == "exited"
    running.close()
    (launcher,) = supervisor.launchers() - before
    os.kill(launcher, signal.SIGKILL)
    wait_until(lambda: launcher not in supervisor.launchers(), 5, "end of what was killed")
    assert server.run(plugin, "echo", {"n": 1}).result == {"n": 1}


def test_what_runs_goes_on_when_its_fork_server_dies(
    server: Server, supervisor: Supervisor, plugin_of: Any, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    plugin = plugin_of(
        "import os, time\nfound = 1\n"
        f"def wait(self):\n while not os.path.exists('{go}'): time.sleep(0.01)\n return 'done'\n",
        read=(str(tmp_path),),
    )
    with (tmp_path / "made.py").open("a") as file:
        file.write(" wait = wait\n")
    before = supervisor.launchers()
    running = server.start(plugin, "wait", execution_id="running")
    server.run(plugin, "echo", execution_id="another")
    launcher = _new_launcher(supervisor, before)
    wait_until(lambda: len(_children(launcher)) == 4, 5, "a process ahead, beside the one that runs")
    fork_server = _fork_server(launcher)
    # The next start takes the process that is ahead, and has another asked for: that is unread when the server dies.
    os.kill(fork_server, signal.SIGSTOP)
    last = server.start(plugin, "echo", execution_id="last")
    assert server.ended("last").how == "exited"
    os.kill(fork_server, signal.SIGKILL)
    wait_until(lambda: fork_server not in _children(launcher), 5, "its end")
    go.touch()
    assert [message["data"] for message in running.messages()] == ["done"]
    assert server.ended("running").how == "exited"
    running.close()
    last.close()


def test_forks_that_die_are_not_made_for_ever(server: Server, supervisor: Supervisor, plugin_of: Any) -> None:
    plugin = plugin_of("import os\nfound = 1\nos.setsid = lambda: os._exit(7)")
    before = supervisor.launchers()
    assert server.run(plugin, "echo").ended.error == "its process ended before it could begin (exit code 7)"
    fork_server = _fork_server(_new_launcher(supervisor, before))

    def rests() -> bool:
        used = _processor_ticks(fork_server)
        # Each fork takes it about a tenth of a tick.
        select.select([], [], [], 0.2)
        return _processor_ticks(fork_server) == used

    wait_until(rests, 5, "a fork server at rest")


def test_a_fork_server_does_not_die_of_its_age(server: Server, supervisor: Supervisor, plugin_of: Any) -> None:
    """Its import has a limit of processor time; forks, of which there is no end, would come up to any in time."""
    before = supervisor.launchers()
    plugin = plugin_of("import resource\nfound = resource.getrlimit(resource.RLIMIT_CPU)")
    during_the_import, most = server.run(plugin, "found").result
    assert during_the_import == 600
    limits = Path(f"/proc/{_fork_server(_new_launcher(supervisor, before))}/limits").read_text().splitlines()
    (line,) = [line.split() for line in limits if line.startswith("Max cpu time")]
    assert line[3] == line[4] == ("unlimited" if most == -1 else str(most))


def _new_launcher(supervisor: Supervisor, before: set[int]) -> int:
    # While others end, /proc may skip one.
    wait_until(lambda: len(supervisor.launchers() - before) == 1, 5, "one new launcher")
    return min(supervisor.launchers() - before)


def _fork_server(launcher: int) -> int:
    """Find it: a launcher's second child, after the first process of the namespace."""
    return _children(launcher)[1]


def _children(pid: int) -> list[int]:
    """Name them, the oldest first."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _processor_ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b'{"type":"start"}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"type":"kill","execution_id":1}\n',
        b"x" * (2 << 20),
    ],
    ids=["empty", "no type", "no fields", "no text", "deep", "wrong type", "too long"],
)
def test_what_is_no_message_ends_its_connection_only(server: Server, supervisor: Supervisor, line: bytes) -> None:
    other = supervisor.connect()
    with suppress(BrokenPipeError, ConnectionResetError):
        other.connection.sendall(line)
    with pytest.raises((EOFError, ConnectionResetError)):
        other.next()
    other.connection.close()
    assert server.run(PROBE, "echo", {"n": 1}).result["data"] == {"n": 1}


def test_a_start_without_descriptors_ends_its_connection(server: Server, supervisor: Supervisor) -> None:
    other = supervisor.connect()
    other.send(Start(execution_id="e1", plugin=PROBE, limits=LIMITS, wall_seconds=1))
    with pytest.raises(EOFError):
        other.next()
    other.connection.close()


def test_a_connection_that_ends_takes_its_executions_with_it(server: Server, supervisor: Supervisor) -> None:
    server.run(PROBE, "echo")
    other = supervisor.connect()
    running = [other.start(PROBE, "sleep", {"seconds": 60}, execution_id=f"e{n}") for n in range(3)]
    kept = server.start(PROBE, "sleep", {"seconds": 1})
    other.connection.close()
    for conversation in running:
        assert conversation.messages() == []
        conversation.close()
    assert [message["type"] for message in kept.messages()] == ["result"], "another server's execution goes on"
    kept.close()
    assert server.ended("e1").how == "exited"


def test_a_kill_of_what_is_not_there_is_nothing(server: Server) -> None:
    server.send(Kill(execution_id="unknown"))
    assert server.run(PROBE, "echo", {"n": 1}).result["data"] == {"n": 1}


def test_nothing_is_left_open(server: Server, supervisor: Supervisor) -> None:
    def descriptors() -> int:
        return sum(
            len(list(Path(f"/proc/{pid}/fd").iterdir()))
            for pid in (supervisor.process.pid, *supervisor.descendants())
            if Path(f"/proc/{pid}/fd").exists()
        )

    server.run(PROBE, "echo")
    wait_until(lambda: descriptors() > 0, 5, "descriptors")
    time_of_rest = descriptors()
    for n in range(20):
        server.run(PROBE, "echo", execution_id=f"e{n}")
        server.start(PROBE, "sleep", {"seconds": 60}, execution_id=f"k{n}").close()
        server.send(Kill(execution_id=f"k{n}"))
        server.ended(f"k{n}")
    wait_until(lambda: descriptors() <= time_of_rest, 5, "as few descriptors as before")


def test_only_allowed_users_connect(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("nobody")
    started = Supervisor(directory / "sandbox.sock", allow=os.geteuid() + 1)
    with pytest.raises(EOFError):
        started.connect()
    started.stop()


def test_the_end_is_quick_and_complete(tmp_path_factory: pytest.TempPathFactory) -> None:
    started = Supervisor(tmp_path_factory.mktemp("ending") / "sandbox.sock")
    server = started.connect()
    running = [server.start(PROBE, "sleep", {"seconds": 60}, execution_id=f"e{n}") for n in range(5)]
    for _ in range(5):
        server.start(PROBE, "echo", execution_id="waited for").close()
        server.ended("waited for")
    below = started.descendants()
    assert len(below) >= 8
    assert started.stop() < 3
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]
    assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "nr_inodes=4096" in line]
    assert not list(Path("/sys/fs/cgroup").glob(f"**/flexcore-sandbox-{started.process.pid}"))
    for conversation in running:
        conversation.close()
    server.connection.close()


def test_a_killed_supervisor_takes_everything_with_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    started = Supervisor(tmp_path_factory.mktemp("killed") / "sandbox.sock")
    server = started.connect()
    running = server.start(PROBE, "sleep", {"seconds": 60})
    server.start(PROBE, "echo", execution_id="waited for").close()
    server.ended("waited for")
    below = started.descendants()
    started.process.kill()
    started.process.wait()
    wait_until(lambda: not any(_lives(pid) for pid in below), 5, "end of everything below it")
    running.close()
    server.connection.close()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_idle_fork_servers_retire(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("idle")
    started = Supervisor(directory / "sandbox.sock", "--keep", "2")
    server = started.connect()
    for n in range(4):
        server.run(msgspec.structs.replace(PROBE, key=f"probe-{n}"), "echo")
    wait_until(lambda: len(started.launchers()) == 2, 5, "retirement of two")
    server.connection.close()
    started.stop()


def test_it_serves_an_inherited_connection() -> None:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "flexcore.infrastructure.sandbox.supervisor", "--fd", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    server = Server(ours)
    assert server.run(python_plugin("probe", "probe:Probe", python=sys.executable), "echo", {"n": 1}).result
    begun = time.monotonic()
    ours.close()
    assert process.wait(10) == 0
    assert time.monotonic() - begun < 5
