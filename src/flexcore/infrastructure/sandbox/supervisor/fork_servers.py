"""One plugin version's launcher with its fork server, seen from the supervisor."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from flexcore.infrastructure.sandbox.messages import Limits, Plugin

_PROGRAM: Final = Path(__file__).parents[1] / "launcher" / "start.py"
_LONGEST_MESSAGE: Final = 1 << 16


class End(msgspec.Struct, frozen=True):
    """What a launcher says about an execution that ended. `status` is that of wait(2); none if it never began."""

    ended: str
    status: int | None = None
    cpu_ms: int = 0
    peak_memory_bytes: int = 0
    refused: dict[str, int] = {}
    error: str | None = None


class _Report(msgspec.Struct, frozen=True):
    ready: int | None = None
    broken: str | None = None
    refused: dict[str, int] = {}
    using: dict[str, tuple[int, int]] = {}


class Watcher(Protocol):
    """Who hears of a fork server."""

    def server_ready(self, server: "ForkServer", milliseconds: int, refused: dict[str, int]) -> None:
        """Hear that the plugin is imported."""

    def server_broken(self, server: "ForkServer", error: str, refused: dict[str, int]) -> None:
        """Hear that it will start no more executions; those that run may go on."""

    def execution_ended(self, server: "ForkServer", end: End) -> None:
        """Hear that an execution ended."""

    def executions_using(self, server: "ForkServer", using: dict[str, tuple[int, int]]) -> None:
        """Hear what executions that run have used of the processor, in milliseconds, and hold of memory, in bytes."""

    def server_gone(self, server: "ForkServer") -> None:
        """Hear that the launcher is gone, and every process below it with it."""


class ForkServer:
    """Started at once; `start` may be called before it is ready. Raises OSError if there is no such interpreter."""

    def __init__(self, plugin: Plugin, limits: Limits, watcher: Watcher, *, memory_limited: bool) -> None:
        self.plugin = plugin
        self.is_ready = False
        self.error: str | None = None
        self._watcher = watcher
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter is the server's choice, the rest ours
                [plugin.python or sys.executable, *("-I", "-S", "-B", "-X", "utf8"), _PROGRAM, str(theirs.fileno())],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._read)
        work = {
            "directory": plugin.directory,
            "search_path": plugin.search_path,
            "write": plugin.write,
            "memory_mb": limits.memory_mb,
            "entry_point": plugin.entry_point,
            "executable": plugin.executable,
        }
        self._send({"work": work, "read": plugin.read, "memory_limited": memory_limited}, ())

    @property
    def pid(self) -> int:
        """The launcher's process id."""
        return self._process.pid

    def start(self, execution_id: str, limits: Limits, descriptors: Sequence[int]) -> None:
        """Start an execution; takes the descriptors: the channel, the log, and files by which to join groups."""
        self._send({"start": execution_id, "limits": msgspec.to_builtins(limits)}, descriptors)

    def kill(self, execution_id: str) -> None:
        """Kill an execution with all its processes."""
        self._send({"kill": execution_id}, ())

    def close(self) -> None:
        """Kill the launcher, and with it every process below it."""
        self._process.kill()

    def wait(self) -> None:
        """Wait for the end of the launcher, which was killed."""
        self._process.wait()

    def _send(self, message: dict[str, Any], descriptors: Sequence[int]) -> None:
        self._unsent.append((msgspec.json.encode(message), descriptors))
        if len(self._unsent) == 1:
            self._write()
            if self._unsent:
                self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        while self._unsent:
            data, descriptors = self._unsent[0]
            try:
                if self._open:
                    socket.send_fds(self._socket, [data], descriptors)
            except BlockingIOError:
                return
            except OSError:
                pass  # it is gone: the reader hears of it
            self._unsent.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        if self._open:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(_LONGEST_MESSAGE)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it ended with something unread; what it said before comes yet
            if not data:
                self._end()
                return
            # What plugins can put into these words was made harmless by the launcher.
            if data.startswith(b'{"ended"'):
                self._watcher.execution_ended(self, msgspec.json.decode(data, type=End))
                continue
            report = msgspec.json.decode(data, type=_Report)
            if report.using:
                self._watcher.executions_using(self, report.using)
            if report.ready is not None:
                self.is_ready = True
                self._watcher.server_ready(self, report.ready, report.refused)
            if report.broken is not None and self.error is None:
                self.error = report.broken
                self._watcher.server_broken(self, report.broken, report.refused)

    def _end(self) -> None:
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._write()  # closes what was to be sent
        self._process.kill()
        self._process.wait()
        self._watcher.server_gone(self)
