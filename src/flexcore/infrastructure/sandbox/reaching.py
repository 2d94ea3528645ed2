"""The two ways to a sandbox supervisor: the socket of its unit, or a process that this node starts itself."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

STOP_SECONDS: Final = 5.0


class SandboxUnit:
    """The supervisor that listens at a unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def connect(self) -> socket.socket:
        """Connect; raises OSError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, str(self._path))
        except BaseException:
            connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Do nothing: the unit is the service manager's."""


class SandboxProcess:
    """A supervisor of this node's own. It ends when the connection does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    async def connect(self) -> socket.socket:
        """Start a new process and return the connection to it; raises OSError."""
        await self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                self._process = await asyncio.to_thread(_start, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        return ours

    async def close(self) -> None:
        """Wait for the process to end after its connection, and kill it if it does not."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_stop, process)


def _start(descriptor: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own program, with our own words
        [sys.executable, "-m", "flexcore.infrastructure.sandbox.supervisor", "--fd", str(descriptor)],
        stdin=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env={},
        cwd="/",
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
        return
    process.kill()
    process.wait()
