"""The two ways to a sandbox supervisor: the socket of its unit, or a process that this node starts itself."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from flexcore.infrastructure.sandbox.lines import LineReader

STOP_SECONDS: Final = 5.0
_LONGEST_LINE: Final = 4096

_logger = logging.getLogger("flexcore.sandbox")


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
    """A supervisor of this node's own, whose words go to the node's log. It ends when the connection does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._words: tuple[LineReader, int] | None = None

    async def connect(self) -> socket.socket:
        """Start a new process and return the connection to it; raises OSError."""
        await self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self._words = LineReader(reader, longest=_LONGEST_LINE, on_line=_log, on_end=lambda _: None, cut=True), reader
        with theirs:
            try:
                self._process = await asyncio.to_thread(_start, theirs.fileno(), writer)
            except BaseException:
                ours.close()
                raise
            finally:
                os.close(writer)
        return ours

    async def close(self) -> None:
        """Wait for the process to end after its connection, and kill it if it does not."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_stop, process)
        words, self._words = self._words, None
        if words is not None:
            words[0].close()
            os.close(words[1])


def _log(line: bytearray) -> None:
    _logger.info("the supervisor says: %s", line.decode("utf-8", "replace"))


def _start(descriptor: int, words: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own program, with our own words
        [sys.executable, "-m", "flexcore.infrastructure.sandbox.supervisor", "--fd", str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=words,
        stderr=words,
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
