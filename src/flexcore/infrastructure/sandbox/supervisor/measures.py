"""What this host enforces, found out by trying it: with a plugin of our own, run as any plugin is."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from flexcore.infrastructure.sandbox.launcher import landlock
from flexcore.infrastructure.sandbox.messages import Ended, Limits, Measure, Plugin, Start, ToServer
from flexcore.infrastructure.sandbox.supervisor.control_groups import CONTROLLERS
from flexcore.infrastructure.sandbox.supervisor.supervisor import Supervisor

_LIMITS: Final = Limits(cpu_seconds=10, memory_mb=64, processes=1, file_size_mb=1, open_files=64, work_mb=4)
_PLUGIN: Final = Plugin(
    key="probe",
    id="probe",
    version="1",
    directory=str(Path(__file__).with_name("probe")),
    python=sys.executable,
    entry_point="sandbox_probe:Probe",
)
_NAMESPACES: Final = ("user", "mnt", "pid", "ipc", "uts", "net", "cgroup")
_SECONDS: Final = 20.0

_BY_GROUP: Final = "by its control group"
_BY_LIMITS: Final = "by resource limits, which count what is reserved rather than what is used"

_TRIED: Final = {
    "namespaces": f"own: {', '.join(_NAMESPACES)}",
    "root": "read-only, and nothing of the host in it",
    "seccomp": "only listed system calls; others are refused, and reported where they are no accident",
    "rlimits": "processor time, size of files, open files, threads",
    "work_directory": "an own file system of a fixed size for each execution",
    "processes": "no other process without leave",
    "memory": _BY_GROUP,
    "landlock": "",
}


async def prove(supervisor: Supervisor) -> tuple[Measure, ...]:
    """Try every measure and say what came of it."""
    client = _Client(supervisor)
    why: dict[str, str | None]
    details = {**_TRIED, "landlock": f"version {landlock.version()}"}
    try:
        async with asyncio.timeout(_SECONDS):
            why = await client.try_all()
            if why["namespaces"] is None:
                why["memory"], details["memory"] = await client.use_too_much_memory()
    except TimeoutError:
        why = _all(f"it was not found out within {_SECONDS:g} s")
    finally:
        client.close()
    if details["memory"] == _BY_LIMITS and why["cgroup_memory"] is None:
        why["cgroup_memory"] = "an execution that used more memory than its group may was not killed for it"
    if why["landlock"] is not None and not landlock.version():
        why["landlock"] = "this kernel has no Landlock"
    return tuple(
        Measure(name=name, enforced=reason is None, detail=reason or details.get(name, "a group for each execution"))
        for name, reason in why.items()
    )


def _all(why: str) -> dict[str, str | None]:
    return dict.fromkeys((*_TRIED, *(f"cgroup_{controller}" for controller in CONTROLLERS)), why)


class _Client:
    """The server's end of a connection to our own supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()
        self._connection, theirs = socket.socketpair()
        self._connection.setblocking(False)
        self._decoder = msgspec.json.Decoder(ToServer)
        self._unread = b""
        supervisor.accept(theirs)

    async def try_all(self) -> dict[str, str | None]:
        """Say what does not hold, seen from outside and from inside the execution."""
        with self._start("try_all", {}) as channel:
            waiting = await self._receive(channel)
            if waiting is None:
                ended = await self._ended()
                return _all(ended.error or f"the attempt ended: {ended.how}")
            found = self._look_from_outside()
            await self._loop.sock_sendall(channel, b'{"type": "emitted", "position": 0}\n')
            answer = await self._receive(channel)
        ended = await self._ended()
        if answer is None or answer["type"] != "result":
            return {**_all(f"the attempt failed: {answer['error'] if answer else ended.how}"), **found}
        inside: dict[str, str | None] = answer["data"]
        if inside["seccomp"] is None and "unshare" not in {refused.syscall for refused in ended.refused}:
            inside["seccomp"] = "what is refused is not reported"
        return {**found, **inside}

    async def use_too_much_memory(self) -> tuple[str | None, str]:
        """Say why memory is not limited, if it is not, and else how it is."""
        with self._start("use_memory", {"megabytes": 4 * _LIMITS.memory_mb}) as channel:
            answer = await self._receive(channel)
        ended = await self._ended()
        if ended.how == "out_of_memory":
            return None, _BY_GROUP
        if answer is not None and answer["type"] == "crashed":
            return None, _BY_LIMITS
        return "an execution used more than it may", _BY_LIMITS

    def close(self) -> None:
        """Leave the supervisor as it was before."""
        self._connection.close()
        self._supervisor.retire(_PLUGIN.key)

    def _start(self, operation: str, data: dict[str, Any]) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        log = os.open(os.devnull, os.O_WRONLY)
        start = Start(execution_id=operation, plugin=_PLUGIN, limits=_LIMITS, wall_seconds=_SECONDS)
        run = {"type": "run", "execution_id": operation, "operation": operation, "data": data}
        ours.send(json.dumps({**run, "configuration": {}, "secrets": {}}).encode() + b"\n")
        socket.send_fds(self._connection, [msgspec.json.encode(start) + b"\n"], [theirs.fileno(), log])
        theirs.close()
        os.close(log)
        return ours

    async def _receive(self, channel: socket.socket) -> dict[str, Any] | None:
        line = b""
        while not line.endswith(b"\n"):
            try:
                chunk = await self._loop.sock_recv(channel, 1 << 16)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return None
            line += chunk
        message: dict[str, Any] = json.loads(line)
        return message

    async def _ended(self) -> Ended:
        while True:
            while b"\n" not in self._unread:
                self._unread += await self._loop.sock_recv(self._connection, 1 << 16)
            line, _, self._unread = self._unread.partition(b"\n")
            message = self._decoder.decode(line)
            if isinstance(message, Ended):
                return message

    def _look_from_outside(self) -> dict[str, str | None]:
        launcher = self._supervisor.launcher_of(_PLUGIN.key)
        children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        shared = [name for name in _NAMESPACES if _same_namespace(name, children)]
        outside: dict[str, str | None] = {
            "namespaces": f"these are the host's: {', '.join(shared)}" if shared else None
        }
        groups = self._supervisor.groups
        for controller in CONTROLLERS:
            why = groups.missing.get(controller)
            if why is None and not groups.is_in_use(controller):
                why = "executions do not join their groups"
            outside[f"cgroup_{controller}"] = why
        return outside


def _same_namespace(name: str, processes: Iterable[str]) -> bool:
    own = Path(f"/proc/self/ns/{name}").readlink()
    return any(Path(f"/proc/{pid}/ns/{name}").readlink() == own for pid in processes)
