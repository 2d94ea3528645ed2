"""What is ended in the middle of its beginning leaves no process, no control group, no mount and no descriptor."""

import os
import random
import select
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from flexcore.infrastructure.sandbox.messages import Kill, Retire, Warm, Warmed
from tests.integration.sandbox.supervised import LIMITS, Server, Supervisor, python_plugin
from tests.servers import wait_until

PLUGIN = python_plugin("probe", "probe:Probe", key="leftovers")
# From before the supervisor has read the request to long after the plugin has begun.
LONGEST_SECONDS = 0.006
TIMES = 40
LOOKS = 10
SECONDS_BETWEEN_LOOKS = 0.03


def test_executions_that_are_killed_while_they_begin(server: Server, supervisor: Supervisor) -> None:
    def kill(number: int, delay: float) -> None:
        running = server.start(PLUGIN, "sleep", {"seconds": 60}, execution_id=f"e{number}")
        _wait(delay)
        server.send(Kill(execution_id=f"e{number}"))
        assert server.ended(f"e{number}").how == "killed"
        running.close()

    _leaves_nothing(server, supervisor, kill)


def test_executions_whose_server_goes_away_while_they_begin(server: Server, supervisor: Supervisor) -> None:
    def vanish(number: int, delay: float) -> None:
        other = supervisor.connect()
        running = other.start(PLUGIN, "sleep", {"seconds": 60})
        _wait(delay)
        other.connection.close()
        running.close()

    _leaves_nothing(server, supervisor, vanish)


def test_many_killed_at_once(server: Server, supervisor: Supervisor) -> None:
    def kill_five(number: int, delay: float) -> None:
        ids = [f"e{number}-{n}" for n in range(5)]
        running = [server.start(PLUGIN, "sleep", {"seconds": 60}, execution_id=id_) for id_ in ids]
        _wait(delay)
        for id_ in reversed(ids):
            server.send(Kill(execution_id=id_))
        assert {server.ended(id_).how for id_ in ids} == {"killed"}
        for conversation in running:
            conversation.close()

    _leaves_nothing(server, supervisor, kill_five)


def test_launchers_that_are_killed_while_they_begin(server: Server, supervisor: Supervisor) -> None:
    """Whatever they had come to: a namespace, its first process, a fork server."""
    before = supervisor.launchers()
    for number in range(TIMES):
        key = f"leftovers-{number}"
        server.send(Warm(plugin=python_plugin("probe", "probe:Probe", key=key), limits=LIMITS))
        wait_until(lambda: len(supervisor.launchers() - before) == 1, 5, "a launcher")
        launcher = min(supervisor.launchers() - before)
        # It takes about 100 ms to import what it needs, and to confine itself some more.
        _wait(random.uniform(0, 0.2))
        os.kill(launcher, signal.SIGKILL)
        server.next()
        server.send(Retire(key=key))
        # What a launcher leaves behind when it dies becomes the supervisor's child.
        wait_until(lambda: supervisor.launchers() <= before, 5, "the end of all that it started")


def _leaves_nothing(server: Server, supervisor: Supervisor, end_one: Callable[[int, float], None]) -> None:
    """End executions at many moments of their beginning, and compare what there is with what there was."""
    server.send(Warm(plugin=PLUGIN, limits=LIMITS))
    assert isinstance(server.next(), Warmed)
    server.run(PLUGIN, "echo", execution_id="first")
    before = _at_rest(supervisor)
    for number in range(TIMES):
        end_one(number, random.uniform(0, LONGEST_SECONDS))
    try:
        wait_until(lambda: _everything(supervisor) == before, 10, "what there was before")
    except TimeoutError:
        pytest.fail(f"before: {before}, after: {_everything(supervisor)}")
    assert server.run(PLUGIN, "echo", {"n": 1}, execution_id="last").result["data"] == {"n": 1}


def _everything(supervisor: Supervisor) -> dict[str, int]:
    """Count what executions are made of; a work directory is a mount in a namespace that its process alone keeps."""
    pids = {supervisor.process.pid, *supervisor.descendants()}
    return {
        "processes": len(pids),
        "mount namespaces": len({_link(f"/proc/{pid}/ns/mnt") for pid in pids}),
        "descriptors": sum(map(_descriptors, pids)),
        "groups": sum(len(list(base.glob("[0-9]*"))) for base in _groups(supervisor.process.pid)),
    }


def _groups(pid: int) -> list[Path]:
    """Name the directories in which a supervisor may make groups, of both versions."""
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found.append(Path("/sys/fs/cgroup", controllers, path.lstrip("/"), f"flexcore-sandbox-{pid}"))
    return found


def _at_rest(supervisor: Supervisor) -> dict[str, int]:
    """Count when that stays the same: what the test before ended may still be about to be closed."""
    looks: deque[dict[str, int]] = deque(maxlen=LOOKS)

    def stays() -> bool:
        _wait(SECONDS_BETWEEN_LOOKS)
        looks.append(_everything(supervisor))
        return _rests(supervisor) and looks.count(looks[0]) == LOOKS

    wait_until(stays, 10, "the one process that is forked ahead, and nothing else,")
    return looks[-1]


def _rests(supervisor: Supervisor) -> bool:
    """Say whether each launcher has the first process of its namespace, a fork server, one ahead, and nothing else."""
    as_usual = all(len(_children(launcher)) == 3 for launcher in supervisor.launchers())
    return as_usual and _everything(supervisor)["groups"] == 0


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _wait(seconds: float) -> None:
    select.select([], [], [], seconds)
