"""The connection to the sandbox supervisor: made, kept, and made again when it breaks."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from flexcore.application.background import Background
from flexcore.domain.errors import FlexCoreError, Unavailable
from flexcore.infrastructure.sandbox.lines import LineReader, LineSender
from flexcore.infrastructure.sandbox.messages import (
    LONGEST_LINE,
    PROTOCOL_VERSION,
    Ended,
    Hello,
    Kill,
    Limits,
    NotWarmed,
    Plugin,
    Retire,
    Start,
    ToServer,
    ToSupervisor,
    Using,
    Warm,
    Warmed,
)

COMPONENT: Final = "plugin_runtime"
HELLO_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0

_decode: Final = msgspec.json.Decoder(ToServer).decode
_encode: Final = msgspec.json.Encoder().encode
_logger = logging.getLogger("flexcore.sandbox")

Answer = TypeVar("Answer")

Connect = Callable[[], Awaitable[socket.socket]]
"""Gives a new connection to a supervisor, starting one if that is how it is; raises OSError."""


class SandboxLost(FlexCoreError):  # noqa: N818 - what happened
    """The connection broke, and with it ended all that ran."""


class Control:
    """One supervisor, as long as the node lives."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._link: _Link | None = None
        self._problem = "it has not been reached yet"
        self._connected = asyncio.Event()
        self._background = Background()

    def open(self) -> None:
        """Begin to keep a connection."""
        self._background.run("connection to the sandbox", self._keep)

    async def close(self) -> None:
        """End the connection, and with it whatever still runs."""
        await self._background.close()

    @property
    def hello(self) -> Hello | None:
        """What the supervisor said of this host; None while there is no connection."""
        return None if self._up is None else self._up.hello

    @property
    def problem(self) -> str | None:
        """Why there is no connection; None while there is one."""
        return None if self._up is not None else f"the sandbox supervisor is away: {self._problem}"

    async def connected(self, seconds: float) -> Hello:
        """Wait for a connection; raises Unavailable after so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._connected.wait()
        except TimeoutError:
            raise Unavailable(COMPONENT, str(self.problem)) from None
        return self._there().hello

    def start(self, message: Start, channel: int, log: int) -> asyncio.Future[Ended]:
        """Start an execution, whose descriptors are given away; the future raises SandboxLost if it is not known.

        Raises Unavailable.
        """
        try:
            link = self._there()
        except Unavailable:
            os.close(channel)
            os.close(log)
            raise
        return link.start(message, channel, log)

    def kill(self, execution_id: str) -> None:
        """Kill an execution with all its processes, if it still runs."""
        if (link := self._up) is not None:
            link.send(Kill(execution_id=execution_id))

    def using(self, execution_id: str) -> Using | None:
        """Give what a running execution used when the supervisor last told; None in its first second."""
        return None if self._up is None else self._up.using.get(execution_id)

    async def warm(self, plugin: Plugin, limits: Limits) -> Warmed | NotWarmed:
        """Have a plugin ready, or hear why it can't be run; raises SandboxLost, Unavailable."""
        return await self._there().warm(plugin, limits)

    def retire(self, key: str) -> None:
        """Let go of a plugin once its executions have ended."""
        if (link := self._up) is not None:
            link.send(Retire(key=key))

    @property
    def _up(self) -> "_Link | None":
        return self._link if self._link is not None and not self._link.lost.done() else None

    def _there(self) -> "_Link":
        if (link := self._up) is None:
            raise Unavailable(COMPONENT, f"plugins can't be run: {self.problem}")
        return link

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            link = None
            try:
                connection = await self._connect()
                link = _Link(connection)
                async with asyncio.timeout(HELLO_SECONDS):
                    await asyncio.shield(link.greeted)
                self._link, pause = link, FIRST_PAUSE_SECONDS
                self._connected.set()
                _logger.info("connected to the sandbox supervisor")
                self._problem = await asyncio.shield(link.lost)
                _logger.error("the connection to the sandbox supervisor is lost: %s", self._problem)
            except TimeoutError:
                self._problem = f"it did not say hello within {HELLO_SECONDS:g} s"
            except (OSError, SandboxLost) as error:
                self._problem = getattr(error, "strerror", None) or str(error)
            finally:
                self._link = None
                self._connected.clear()
                if link is not None:
                    link.close("this node ended it")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


class _Link:
    """One connection. Everything that waits for an answer fails with SandboxLost when it breaks."""

    def __init__(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        self._connection = connection
        self._running: dict[str, asyncio.Future[Ended]] = {}
        self._warming: dict[str, asyncio.Future[Warmed | NotWarmed]] = {}
        self.using: dict[str, Using] = {}
        self.greeted: asyncio.Future[Hello] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._reader = LineReader(
            connection.fileno(),
            longest=LONGEST_LINE,
            on_line=self._hear,
            on_end=lambda problem: self.close(problem or "it closed the connection"),
            full_speed=None,
        )
        self._sender = LineSender(connection)

    @property
    def hello(self) -> Hello:
        """What it said first."""
        return self.greeted.result()

    def send(self, message: ToSupervisor, *descriptors: int) -> None:
        self._sender.send(_encode(message) + b"\n", *descriptors)

    def start(self, message: Start, channel: int, log: int) -> asyncio.Future[Ended]:
        ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._running[message.execution_id] = ended
        self.send(message, channel, log)
        return ended

    async def warm(self, plugin: Plugin, limits: Limits) -> Warmed | NotWarmed:
        warming = self._warming.get(plugin.key)
        if warming is None:
            warming = self._warming[plugin.key] = asyncio.get_running_loop().create_future()
            self.send(Warm(plugin=plugin, limits=limits))
        return await asyncio.shield(warming)

    def close(self, problem: str) -> None:
        """End the connection and tell whoever waits."""
        if self.lost.done():
            return
        self.lost.set_result(problem)
        self._reader.close()
        self._sender.close()
        self._connection.close()
        waiting: list[asyncio.Future[Ended] | asyncio.Future[Warmed | NotWarmed] | asyncio.Future[Hello]] = [
            self.greeted,
            *self._running.values(),
            *self._warming.values(),
        ]
        for future in waiting:
            if not future.done():
                future.set_exception(SandboxLost(f"the connection to the sandbox supervisor is lost: {problem}"))
                future.exception()  # nobody may be waiting any more, which is no defect

    def _hear(self, line: bytearray) -> None:
        try:
            message = _decode(line)
        except (ValueError, RecursionError) as error:
            self.close(f"it said what is no message: {error}")
            return
        match message:
            case Hello():
                self._greet(message)
            case Using():
                if message.execution_id in self._running:
                    self.using[message.execution_id] = message
            case Ended():
                self.using.pop(message.execution_id, None)
                self._settle(self._running, message.execution_id, message)
            case Warmed() | NotWarmed():
                self._settle(self._warming, message.key, message)

    def _greet(self, hello: Hello) -> None:
        if hello.version != PROTOCOL_VERSION:
            self.close(f"it speaks version {hello.version} of the protocol, and this node version {PROTOCOL_VERSION}")
        elif not self.greeted.done():
            self.greeted.set_result(hello)

    def _settle(self, waiting: dict[str, asyncio.Future[Answer]], key: str, answer: Answer) -> None:
        future = waiting.pop(key, None)
        if future is not None and not future.done():
            future.set_result(answer)
