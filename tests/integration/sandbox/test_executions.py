"""Executions under a real supervisor: how they begin, what bounds them, how they end."""

import os
import signal
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flexcore.infrastructure.sandbox.messages import Kill, Limits, Plugin
from tests.integration.sandbox.supervised import LIMITS, Server, Supervisor, python_plugin
from tests.servers import wait_until

PROBE = python_plugin("probe", "probe:Probe")


def limits(**changes: int) -> Limits:
    return msgspec.structs.replace(LIMITS, **changes)


def test_an_execution_from_start_to_end(server: Server) -> None:
    outcome = server.run(PROBE, "echo", {"name": "Ada"}, configuration={"colour": "blue"})
    assert outcome.result == {"data": {"name": "Ada"}, "configuration": {"colour": "blue"}}
    assert (outcome.ended.how, outcome.ended.exit_code) == ("exited", 0)
    assert outcome.ended.refused == ()
    assert outcome.ended.peak_memory_bytes > 0


def test_an_execution_shares_its_process_group_with_nobody(server: Server) -> None:
    outcome = server.run(PROBE, "evaluate", {"code": "os.kill(0, 9)"})
    assert (outcome.ended.how, outcome.ended.error) == ("exited", None)
    assert server.run(PROBE, "echo", {}).result == {"data": {}, "configuration": {}}


def test_what_is_printed_is_the_log(server: Server) -> None:
    code = "import sys; print('to stdout'); print('<4>to stderr ä', file=sys.stderr); os.write(1, b'half a line')"
    outcome = server.run(PROBE, "evaluate", {"code": code})
    assert outcome.log == "to stdout\n<4>to stderr ä\nhalf a line"


def test_records_and_refusals(server: Server) -> None:
    code = """
import flexcore_plugin
flexcore_plugin.log("a warning", "warning")
raise flexcore_plugin.OperationFailed("not today", reason="closed")
"""
    assert server.run(PROBE, "evaluate", {"code": code}).messages == [
        {"type": "log", "level": "warning", "message": "a warning"},
        {"type": "result", "success": False, "data": {"error": "not today", "reason": "closed"}},
    ]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise LookupError('no such customer')", "LookupError: no such customer"),
        ("result = object()", "it returned a value that is not JSON: Object of type object is not JSON serializable"),
        ("result = float('nan')", "it returned a value that is not JSON: Out of range float values"),
        ("result = '\\ud800'", "it returned a value that is not JSON: 'utf-8' codec can't encode"),
        ("result = []; result.append(result)", "it returned a value that is not JSON: Circular reference"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise MemoryError", "it ran out of memory"),
    ],
)
def test_a_crash_says_why(server: Server, code: str, error: str) -> None:
    outcome = server.run(PROBE, "evaluate", {"code": code})
    assert outcome.crash.startswith(error)
    assert "Traceback" not in outcome.crash


def test_an_unknown_operation_and_the_health_of_its_own_accord(server: Server) -> None:
    assert "has no method 'unknown'" in server.run(PROBE, "unknown").crash
    assert "has no method '__class__'" in server.run(PROBE, "--class--").crash
    assert server.run(PROBE, "health").result == {"status": "healthy"}


@pytest.mark.parametrize(
    ("code", "how", "number"),
    [
        ("os._exit(3)", "exited", 3),
        ("import ctypes; ctypes.string_at(0)", "signalled", signal.SIGSEGV),
        ("import threading; threading.Thread(target=os._exit, args=(0,)).start()", "exited", 0),
    ],
)
def test_how_it_ended(server: Server, code: str, how: str, number: int) -> None:
    ended = server.run(PROBE, "evaluate", {"code": code}).ended
    assert (ended.how, ended.signal if how == "signalled" else ended.exit_code) == (how, number)


def test_wall_time_ends_it(server: Server) -> None:
    ended = server.run(PROBE, "sleep", {"seconds": 60}, wall_seconds=0.3).ended
    assert ended.how == "timed_out"
    assert 300 <= ended.wall_ms < 10_000


def test_processor_time_ends_it(server: Server) -> None:
    ended = server.run(PROBE, "evaluate", {"code": "while True: pass"}, limits=limits(cpu_seconds=1)).ended
    assert (ended.how, ended.signal) == ("signalled", signal.SIGXCPU)
    assert 700 <= ended.cpu_ms < 2000


def test_memory_is_bounded(server: Server, supervisor: Supervisor) -> None:
    code = "held = [bytearray(b'x') * (8 << 20) for _ in range(megabytes // 8)]"
    assert server.run(PROBE, "evaluate", {"code": code, "megabytes": 64}).ended.exit_code == 0
    outcome = server.run(PROBE, "evaluate", {"code": code, "megabytes": 1024})
    assert server.hello is not None
    enforced = {measure.name: measure.enforced for measure in server.hello.measures}
    if enforced["cgroup_memory"]:
        assert outcome.ended.how == "out_of_memory"
        assert outcome.ended.peak_memory_bytes >= 200 << 20
    else:
        assert outcome.crash == "it ran out of memory"


@pytest.mark.parametrize(
    "code",
    [
        "import mmap\nkept = [mmap.mmap(-1, 16 << 20) for _ in range(64)]\nfor m in kept: m.write(bytes(16 << 20))",
        "kept = []\nfor n in range(60):\n f = os.memfd_create('x'); os.write(f, bytes(16 << 20)); kept.append(f)",
        "for n in range(60):\n open(f'/home/plugin/{n}', 'wb').write(bytes(16 << 20))",
    ],
    ids=["shared memory", "files in memory", "work directory"],
)
def test_no_way_around_the_memory_limit(server: Server, code: str) -> None:
    outcome = server.run(PROBE, "evaluate", {"code": code}, limits=limits(open_files=128))
    assert outcome.ended.how == "out_of_memory" or outcome.crash


def test_files_are_bounded(server: Server) -> None:
    code = "open('/home/plugin/x', 'wb').write(bytes(megabytes << 20))"
    assert server.run(PROBE, "evaluate", {"code": code, "megabytes": 15}).ended.exit_code == 0
    assert "File too large" in server.run(PROBE, "evaluate", {"code": code, "megabytes": 17}).crash
    code = "for n in range(5): open(f'/home/plugin/{n}', 'wb').write(bytes(4 << 20))"
    assert "No space left on device" in server.run(PROBE, "evaluate", {"code": code}).crash
    code = "kept = [open('/dev/null') for _ in range(100)]"
    assert "Too many open files" in server.run(PROBE, "evaluate", {"code": code}).crash


def test_threads_are_bounded(server: Server) -> None:
    code = "import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(60,)).start()"
    assert "can't start new thread" in server.run(PROBE, "evaluate", {"code": code}).crash


FORKS = """
import time
result = 0
children = []
for _ in range(attempts):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    result += 1
"""


def test_processes_up_to_the_limit(server: Server, supervisor: Supervisor) -> None:
    assert server.run(PROBE, "evaluate", {"code": FORKS, "attempts": 8}).result == 0
    outcome = server.run(PROBE, "evaluate", {"code": FORKS, "attempts": 8}, limits=limits(processes=4))
    assert outcome.result == 3, "and the first process itself"


def test_a_fork_bomb_ends_with_its_execution(server: Server, supervisor: Supervisor) -> None:
    code = "while True:\n try: os.fork()\n except OSError: pass"
    server.run(PROBE, "echo")
    before = supervisor.descendants()
    ended = server.run(PROBE, "evaluate", {"code": code}, limits=limits(processes=8), wall_seconds=1).ended
    assert ended.how == "timed_out" or "no plugin may make" in str(ended.error)
    # Besides what was there, processes may wait for the next executions.
    wait_until(lambda: len(supervisor.descendants()) <= len(before) + 2, 5, "end of its processes")


def test_a_kill_ends_the_whole_tree(server: Server, supervisor: Supervisor) -> None:
    code = "for _ in range(3): os.fork()\nimport time; print('there', flush=True); time.sleep(60)"
    server.run(PROBE, "echo")
    before = supervisor.descendants()
    running = server.start(PROBE, "evaluate", {"code": code}, limits=limits(processes=16))
    seen = b""
    while seen.count(b"there") < 8:
        seen += os.read(running.log, 100)
    server.send(Kill(execution_id="e1"))
    assert server.ended("e1").how == "killed"
    running.close()
    wait_until(lambda: len(supervisor.descendants()) <= len(before) + 2, 5, "end of its processes")


@pytest.fixture
def executable(tmp_path: Path) -> Plugin:
    for path in (tmp_path, *tmp_path.parents[:3]):
        if path != Path("/tmp"):
            path.chmod(0o755)
    program = tmp_path / "bin" / "greet"
    program.parent.mkdir()
    program.write_text(
        """#!/bin/sh
read line
echo "<6>at work in $PWD, process $$" >&2
case "$line" in
  *children*) sleep 60 & sleep 60 & wait ;;
  *outside*) cat /etc/shadow ;;
esac
echo '{"type": "result", "success": true, "data": "hello"}'
"""
    )
    program.chmod(program.stat().st_mode | stat.S_IXGRP | stat.S_IXUSR | stat.S_IXOTH)
    return Plugin(
        key=f"executable-{tmp_path}", id="greet", version="1", directory=str(tmp_path), executable="bin/greet"
    )


def test_an_executable(server: Server, executable: Plugin) -> None:
    outcome = server.run(executable, "greet", limits=limits(processes=4))
    assert outcome.result == "hello"
    assert outcome.log == "<6>at work in /home/plugin, process 1\n"
    assert outcome.ended.exit_code == 0
    outcome = server.run(executable, "outside", limits=limits(processes=4))
    assert "cat: /etc/shadow: No such file or directory" in outcome.log
    ended = server.run(executable, "children", limits=limits(processes=4), wall_seconds=0.5).ended
    assert ended.how == "timed_out"


def test_what_can_not_be_started_says_why(server: Server, executable: Plugin) -> None:
    def error_of(plugin: Plugin) -> str:
        ended = server.run(plugin, "echo").ended
        assert ended.how == "not_started"
        return str(ended.error)

    gone = msgspec.structs.replace(executable, key="gone", executable="bin/other")
    assert "'other' is not an executable file" in error_of(gone)
    assert "No module named 'absent'" in error_of(python_plugin("probe", "absent:Probe", key="absent"))
    assert "has no attribute 'Absent'" in error_of(python_plugin("probe", "probe:Absent", key="no class"))
    assert "/not/python" in error_of(python_plugin("probe", "probe:Probe", key="no python", python="/not/python"))
    nowhere = python_plugin("probe", "probe:Probe", key="nowhere", directory="/not/there")
    assert "the path '/not/there' can't be shown" in error_of(nowhere)


def result_of(server: Server, **options: Any) -> Any:
    return server.run(PROBE, "echo", {"n": 1}, **options).result


def test_many_at_once(server: Server) -> None:
    running = [server.start(PROBE, "echo", {"n": n}, execution_id=f"e{n}") for n in range(100)]
    for n, conversation in enumerate(running):
        assert conversation.messages() == [
            {"type": "result", "success": True, "data": {"data": {"n": n}, "configuration": {}}}
        ]
        assert server.ended(f"e{n}").how == "exited"
        conversation.close()


def test_large_requests_and_answers(server: Server) -> None:
    text = "ä" * (1 << 20)
    assert server.run(PROBE, "echo", {"text": text}).result["data"]["text"] == text
