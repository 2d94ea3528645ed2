"""What a plugin can't see, reach or do, tried from inside."""

import errno
import os
import socket
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

import flexcore_plugin
from flexcore.infrastructure.sandbox.launcher import linux, syscalls
from flexcore.infrastructure.sandbox.messages import Kill
from tests.integration.sandbox.conftest import reachable
from tests.integration.sandbox.supervised import LIMITS, PLUGINS, Server, Supervisor, python_plugin

PROBE = python_plugin("probe", "probe:Probe")
MADE_OF = (PLUGINS / "probe", Path(flexcore_plugin.__file__).parent)
NUMBERS = syscalls.numbers(linux.MACHINE)
RAW = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(argument) for argument in arguments])
    return ctypes.get_errno() if result < 0 else 0
"""


def evaluate(server: Server, code: str, **names: Any) -> Any:
    outcome = server.run(PROBE, "evaluate", {"code": code, **names})
    assert [message["type"] for message in outcome.messages] == ["result"], outcome
    return outcome.result


def test_the_root_shows_what_is_needed_and_no_more(server: Server) -> None:
    # The checkout may be anywhere: of the directories on the way to it, only the way is there.
    shown: dict[str, set[str]] = {"/": {"usr", "etc", "dev", "tmp", "home"}, "/tmp": set(), "/home": {"plugin"}}
    shown["/"] |= {path.name for path in Path("/").iterdir() if path.name.startswith(("bin", "sbin", "lib"))}
    for path in MADE_OF:
        for directory, entry in pairwise((*reversed(path.parents), path)):
            shown.setdefault(str(directory), set()).add(entry.name)
    listed = evaluate(server, "result = {path: os.listdir(path) for path in paths}", paths=list(shown))
    more = {directory: set(entries) - shown[directory] for directory, entries in listed.items()}
    assert not any(more.values()), more
    etc = set(evaluate(server, "result = os.listdir('/etc')"))
    assert not {"shadow", "hostname", "machine-id", "resolv.conf", "ssh"} & etc
    passwd = evaluate(server, "result = open('/etc/passwd').read()")
    assert passwd.splitlines() == ["nobody:x:65534:65534:plugin:/home/plugin:/usr/sbin/nologin"]
    assert sorted(evaluate(server, "result = os.listdir('/dev')")) == ["full", "null", "random", "urandom", "zero"]


def test_the_hosts_paths_are_not_there(server: Server) -> None:
    paths = [
        *("/etc/shadow", "/proc/1/environ", "/proc/self/environ", "/sys/kernel", "/run", "/var/lib", "/home/user"),
        *("/boot", "/etc/hostname", "/root", "/dev/mem", "/dev/kmsg", "/dev/shm", "/dev/pts", "/var/tmp"),
    ]
    assert evaluate(server, "result = [path for path in paths if os.path.exists(path)]", paths=paths) == []


def test_a_file_of_the_host_is_not_there(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    assert evaluate(server, "result = os.path.exists(path)", path=str(secret)) is False


def test_nothing_can_be_written_but_the_work_directory(server: Server) -> None:
    paths = ["/usr/new", "/etc/passwd", "/new", "/home/new", "/dev/new", "/dev/zero", str(PLUGINS / "probe" / "new")]
    code = """
result = []
for path in paths:
    try:
        open(path, "a").write("x")
        result.append("written")
    except OSError as error:
        result.append(error.errno)
"""
    assert set(evaluate(server, code, paths=paths)) <= {errno.EROFS, errno.EACCES}


def test_an_executions_circumstances(server: Server) -> None:
    found = evaluate(
        server,
        """
import resource, socket, sys
libc = __import__("ctypes").CDLL(None)
fds = []
for number in range(256):
    try:
        os.fstat(number)
        fds.append(number)
    except OSError:
        pass
result = {
    "environment": dict(os.environ), "directory": os.getcwd(), "ids": [os.getpid(), os.getppid(), os.getuid()],
    "fds": fds, "groups": os.getgroups(), "no_new_privs": libc.prctl(39, 0, 0, 0, 0),
    "host": os.uname().nodename, "work": os.listdir("/home/plugin"), "tmp": os.path.realpath("/tmp"),
    "seccomp": libc.prctl(21, 0, 0, 0, 0),
}
""",
    )
    assert found["environment"].keys() == {"HOME", "LANG", "PATH", "TMPDIR"}
    assert "SECRET" not in found["environment"]
    assert found["directory"] == "/home/plugin"
    assert found["ids"] == [1, 0, 65534]
    assert found["fds"] == [0, 1, 2, 3], "nothing, the log twice, the channel"
    assert found["no_new_privs"] == 1
    assert found["work"] == []


REFUSED = {
    "ptrace": (16, 1),
    "process_vm_readv": (1, 0, 0, 0, 0, 0),
    "mount": (0, 0, 0, 0, 0),
    "umount2": (0, 0),
    "unshare": (0x10000000,),
    "setns": (3, 0),
    "pivot_root": (0, 0),
    "chroot": (0,),
    "bpf": (0, 0, 0),
    "keyctl": (0, 0, 0),
    "add_key": (0, 0, 0),
    "io_uring_setup": (1, 0),
    "perf_event_open": (0, 0, 0, 0, 0),
    "userfaultfd": (0,),
    "open_by_handle_at": (0, 0, 0),
    "socket": (2, 1, 0),
    "connect": (3, 0, 0),
    "bind": (3, 0, 0),
    "listen": (3, 1),
    "init_module": (0, 0, 0),
    "finit_module": (0, 0, 0),
    "kexec_load": (0, 0, 0, 0),
    "reboot": (0, 0, 0),
    "setuid": (0,),
    "setgroups": (0, 0),
    "seccomp": (1, 0, 0),
    "shmget": (0, 4096, 0o666),
    "execve": (0, 0, 0),
    "pidfd_getfd": (3, 0, 0),
    "fsopen": (0, 0),
    "open_tree": (0, 0, 0),
    "sethostname": (0, 0),
    "clock_settime": (0, 0),
    "vhangup": (),
}


def test_refused_calls_are_refused_and_counted(server: Server) -> None:
    calls = {name: (NUMBERS[name], *arguments) for name, arguments in REFUSED.items()}
    code = f"{RAW}\nresult = {{name: [call(*numbers) for _ in range(2)] for name, numbers in {calls!r}.items()}}"
    outcome = server.run(PROBE, "evaluate", {"code": code})
    assert outcome.result == dict.fromkeys(REFUSED, [errno.EPERM] * 2)
    assert {found.syscall: found.count for found in outcome.ended.refused} == dict.fromkeys(REFUSED, 2)


def test_no_process_can_be_made(server: Server) -> None:
    flags = {"fork": 17, "user": 0x10000011, "processes": 0x20000011, "mounts": 0x20011, "sibling": 0x8011}
    numbers = [(NUMBERS["clone"], value, 0, 0, 0, 0) for value in flags.values()]
    outcome = server.run(PROBE, "evaluate", {"code": f"{RAW}\nresult = [call(*numbers) for numbers in {numbers!r}]"})
    assert outcome.result == [errno.EPERM] * len(flags)
    assert [(found.syscall, found.count) for found in outcome.ended.refused] == [("clone", len(flags))]


def test_clone3_is_not_there(server: Server) -> None:
    assert evaluate(server, f"{RAW}\nresult = call({NUMBERS['clone3']}, 0, 0)") == errno.ENOSYS


def test_threads_work(server: Server) -> None:
    code = """
import threading
found = []
threads = [threading.Thread(target=found.append, args=(n,)) for n in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
result = len(found)
"""
    assert evaluate(server, code) == 20


def test_an_event_loop_works(server: Server) -> None:
    code = """
import asyncio
async def work():
    await asyncio.sleep(0.001)
    return await asyncio.to_thread(sum, [1, 2])
result = asyncio.run(work())
"""
    assert evaluate(server, code) == 3


def test_a_thread_is_not_a_way_around(server: Server) -> None:
    code = """
import _socket, threading
result = []
def attempt():
    try: _socket.socket()
    except PermissionError: result.append("refused")
thread = threading.Thread(target=attempt); thread.start(); thread.join()
"""
    outcome = server.run(PROBE, "evaluate", {"code": code})
    assert outcome.result == ["refused"]
    assert [(found.syscall, found.count) for found in outcome.ended.refused] == [("socket", 1)]


def test_a_connected_socket_can_not_be_connected_elsewhere(server: Server) -> None:
    """TCP Fast Open connects with the first send, and disconnects with an address of no family."""
    code = f"""{RAW}
import socket
left, right = socket.socketpair()
result = [call({NUMBERS["sendto"]}, left.fileno(), 0, 0, 0x20000000, 0, 0),
          call({NUMBERS["sendmsg"]}, left.fileno(), 0, 0x20000000)]
try:
    left.setsockopt(6, 30, 1)  # TCP_FASTOPEN_CONNECT
except OSError as error:
    result.append(error.errno)
"""
    assert evaluate(server, code) == [errno.EPERM] * 3


def test_executions_of_one_plugin_do_not_see_each_other(server: Server) -> None:
    first = server.start(
        PROBE,
        "evaluate",
        {"code": "open('/home/plugin/mine', 'w').write('x'); print('there', flush=True); import time; time.sleep(30)"},
        execution_id="first",
    )
    assert os.read(first.log, 100) == b"there\n"
    code = """
import signal
result = {"work": os.listdir("/home/plugin")}
def attempt(name, action):
    try: result[name] = action()
    except OSError as error: result[name] = error.errno
for pid in range(2, 64):
    attempt(f"kill {pid}", lambda: os.kill(pid, signal.SIGKILL))
attempt("kill all", lambda: os.kill(-1, signal.SIGKILL))
"""
    outcome = server.run(PROBE, "evaluate", {"code": code}, execution_id="second")
    found = outcome.result
    assert found.pop("work") == []
    assert set(found.values()) == {errno.ESRCH}
    first.close()
    server.send(Kill(execution_id="first"))
    assert server.ended("first").how == "killed"


def test_nothing_of_one_execution_is_left_for_the_next(server: Server) -> None:
    code = """
import probe
result = [os.listdir("/home/plugin"), getattr(probe, "left", None)]
probe.left = "something"
open("/home/plugin/left", "w").write("something")
"""
    assert evaluate(server, code) == [[], None]
    assert evaluate(server, code) == [[], None]


def test_other_plugins_are_not_there(server: Server, tmp_path: Path) -> None:
    assert evaluate(server, "result = os.path.exists(path)", path=str(PLUGINS / "hostile")) is False


def test_granted_paths(server: Server, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> None:
    granted = tmp_path_factory.mktemp("granted")
    reachable(granted)
    for name in ("read", "write"):
        (granted / name).mkdir()
        (granted / name).chmod(0o777)
    (granted / "read" / "file").write_text("for reading")
    plugin = python_plugin(
        "probe",
        "probe:Probe",
        key=f"granted-{supervisor.user}",
        read=(str(granted / "read"),),
        write=(str(granted / "write"),),
    )
    code = """
result = [open(f"{granted}/read/file").read(), sorted(os.listdir(granted))]
open(f"{granted}/write/new", "w").write("by the plugin")
os.rename(f"{granted}/write/new", f"{granted}/write/renamed")
try:
    open(f"{granted}/read/new", "w")
except OSError as error:
    result.append(error.errno)
"""
    outcome = server.run(plugin, "evaluate", {"code": code, "granted": str(granted)})
    assert outcome.result == ["for reading", ["read", "write"], errno.EROFS]
    assert (granted / "write" / "renamed").read_text() == "by the plugin"


@pytest.mark.parametrize("path", ["/", "/proc/1", "/sys/kernel"])
def test_the_host_itself_is_never_granted(server: Server, path: str) -> None:
    plugin = python_plugin("probe", "probe:Probe", key=f"never-{path}", read=(path,))
    outcome = server.run(plugin, "echo")
    assert outcome.ended.how == "not_started"
    assert outcome.ended.error is not None
    assert f"the path '{path}' may not be shown to a plugin" in outcome.ended.error


def test_a_path_that_is_not_there_is_named(server: Server) -> None:
    plugin = python_plugin("probe", "probe:Probe", key="missing", read=("/not/there",))
    ended = server.run(plugin, "echo").ended
    assert ended.how == "not_started"
    assert ended.error is not None
    assert "the path '/not/there' can't be shown to the plugin: No such file or directory" in ended.error


def test_secrets_reach_the_execution_they_are_for_only(server: Server) -> None:
    outcome = server.run(
        PROBE,
        "evaluate",
        {"code": "import flexcore_plugin; result = flexcore_plugin.secret('key')"},
        secrets={"key": "s"},
    )
    assert outcome.result == "s"
    code = "import flexcore_plugin; result = flexcore_plugin.secret('key')"
    assert "PermissionRefused" in server.run(PROBE, "evaluate", {"code": code}).crash


def test_descriptors_and_events_come_from_the_server(server: Server) -> None:
    code = """
import flexcore_plugin
position = flexcore_plugin.emit("Greeted", "a1", {"name": "Ada"})
connection = flexcore_plugin.connect("api.example.com", 443)
connection.sendall(b"hello")
try:
    flexcore_plugin.connect("elsewhere", 1)
except PermissionError as error:
    result = [position, str(error)]
"""
    conversation = server.start(PROBE, "evaluate", {"code": code})
    assert conversation.receive() == {
        "type": "emit",
        "event_type": "Greeted",
        "aggregate_id": "a1",
        "data": {"name": "Ada"},
    }
    conversation.send({"type": "emitted", "position": 7})
    assert conversation.receive() == {"type": "connect", "host": "api.example.com", "port": 443}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with connected, accepted:
            conversation.send({"type": "connected"}, [connected.fileno()])
            connected.close()
            assert conversation.receive() == {"type": "connect", "host": "elsewhere", "port": 1}
            assert accepted.recv(100) == b"hello"
            conversation.send({"type": "refused", "error": "elsewhere is not in the manifest"})
    assert conversation.messages() == [
        {"type": "result", "success": True, "data": [7, "elsewhere is not in the manifest"]}
    ]
    conversation.close()
    assert server.ended("e1").how == "exited"


def test_refused_calls_without_end_are_ended(server: Server) -> None:
    begun = time.monotonic()
    code = f"{RAW}\nwhile True: call({NUMBERS['ptrace']}, 0)"
    outcome = server.run(PROBE, "evaluate", {"code": code}, limits=msgspec.structs.replace(LIMITS, cpu_seconds=20))
    assert outcome.ended.how == "killed"
    assert outcome.ended.error == "it tried more than 10000 system calls that no plugin may make"
    assert time.monotonic() - begun < 15
