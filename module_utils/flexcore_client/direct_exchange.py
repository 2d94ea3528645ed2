"""HTTP straight to a server, on asyncio alone.

Why not an HTTP library: a managed host's own Python has none, and starting again under another interpreter costs a
module more than all it does; a check of FlexCore must not need the environment of the FlexCore that it checks; and a
thousand checks at once are three times as fast without the layers of one (tests/bench/test_health.py). Where the way
leads through a proxy, a library goes it: see proxy_exchange.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections import deque

from .address import Address
from .exchange import BodyTooLargeError, Progress, RawAnswer
from .http_message import HEAD_END, MAX_HEAD_BYTES, Head, NotHttpError, Request, chunk_size, parse_head

# What may wait to be read before the socket is left alone for a while.
HIGH_WATER_BYTES = 1 << 20
IDLE_CONNECTIONS = 2
BEGINNING = b"HTTP/1."
FIRST_ERRNO = re.compile(r"Multiple exceptions: \[Errno ([0-9]+)\]")


class ConnectionClosedError(ConnectionError):
    """The server closed the connection in good order where more was to come."""


class DirectExchange:
    """Keeps up to two connections to one server open between requests."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._idle: deque[_Connection] = deque()

    async def send(self, request: Request, progress: Progress, max_body_bytes: int) -> RawAnswer:
        """See Exchange. A connection that the server closed while it was idle is replaced, once."""
        while self._idle:
            kept = self._idle.pop()
            try:
                return await self._over(kept, request, progress, max_body_bytes)
            except ConnectionError:
                if kept.answered or request.method != "GET":
                    raise
        progress.phase = "connect"
        fresh = await _connect(self._address, self._tls, progress)
        return await self._over(fresh, request, progress, max_body_bytes)

    async def close(self) -> None:
        """See Exchange."""
        while self._idle:
            self._idle.pop().abort()
        # Transports close in a later turn of the event loop, and a loop that ends before it leaves them open.
        await asyncio.sleep(0)

    async def _over(self, connection: _Connection, request: Request, progress: Progress, limit: int) -> RawAnswer:
        reusable = False
        try:
            head = await connection.ask(request, self._address, progress)
            body, whole = await connection.body(head, progress, limit)
            reusable = whole and head.keep_alive
        finally:
            if reusable and len(self._idle) < IDLE_CONNECTIONS and connection.usable:
                self._idle.append(connection)
            else:
                connection.abort()
        return RawAnswer(head.status, head.headers, body)


async def _connect(address: Address, tls: ssl.SSLContext | None, progress: Progress) -> _Connection:
    loop = asyncio.get_running_loop()
    connection = _Connection(loop)
    # A name may have an address that leads nowhere beside one that answers: the second is tried after 250 ms.
    opening = loop.create_connection(lambda: connection, address.host, address.port, happy_eyeballs_delay=0.25)
    try:
        transport, _ = await asyncio.wait_for(opening, progress.allowance)
    except OSError as error:
        raise _first_of_several(error) from None
    if tls is None:
        return connection
    progress.phase = "tls"
    try:
        shaking = loop.start_tls(transport, connection, tls, server_hostname=address.host)
        secured = await asyncio.wait_for(shaking, progress.allowance)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise ConnectionClosedError("closed during the handshake")
    connection.connection_made(secured)
    return connection


def _first_of_several(error: OSError) -> OSError:
    """Return the first failure where asyncio puts those of all addresses of a name into one text."""
    number = None if error.errno else FIRST_ERRNO.match(str(error))
    return error if number is None else OSError(int(number[1]), os.strerror(int(number[1])))


class _Connection(asyncio.Protocol):
    """One connection: what came and was not read yet, and whoever waits for more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._pending = bytearray()
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self.answered = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent over it: it is open, and the server said nothing unasked."""
        return not (self._ended or self._pending or self._transport is None or self._transport.is_closing())

    def abort(self) -> None:
        """Close at once; nothing that is still to be sent or read matters."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what came, and leave the socket alone while too much of it waits."""
        self._pending += data
        if len(self._pending) > HIGH_WATER_BYTES and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note that no more comes."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note why no more comes."""
        self._ended = True
        self._error = exc
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Let the sender of a large body wait."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let the sender of a large body go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # What an exchange calls.

    async def ask(self, request: Request, address: Address, progress: Progress) -> Head:
        """Send ``request`` and read the head of the answer to it."""
        progress.phase = "send"
        self.answered = False
        await self._write(request.head(address.authority), progress)
        for part in request.body.parts() if request.body else ():
            if self._ended:
                # The server has had enough: what it said on the matter is worth more than the rest of the body.
                break
            await self._write(part, progress)
        progress.phase = "first byte"
        while True:
            while len(self._pending) < len(BEGINNING):
                await self._more(progress)
            if not self._pending.startswith(BEGINNING):
                # Said now: a server of another protocol may greet and then wait for as long as it is let.
                parse_head(bytes(self._pending[:40]))
            head = parse_head(await self._until(HEAD_END, progress))
            if head.status >= 200:
                return head
            if head.status == 101:
                raise NotHttpError("it switches to another protocol, unasked")

    async def body(self, head: Head, progress: Progress, limit: int) -> tuple[bytes, bool]:
        """Read the body, and say whether the connection is as good as new after it."""
        progress.phase = "body"
        if head.chunked:
            return await self._chunks(head, progress, limit), True
        length = head.length
        if length is None:
            while not self._ended:
                if len(self._pending) > limit:
                    raise BodyTooLargeError(head.status)
                await self._more(progress)
            if self._error is not None:
                raise self._error
            return self._take(len(self._pending)), False
        if length > limit:
            raise BodyTooLargeError(head.status)
        return await self._exactly(length, progress), True

    async def _chunks(self, head: Head, progress: Progress, limit: int) -> bytes:
        body = bytearray()
        while True:
            size = chunk_size(await self._until(b"\r\n", progress))
            if size == 0:
                break
            if len(body) + size > limit:
                raise BodyTooLargeError(head.status)
            body += await self._exactly(size, progress)
            if await self._exactly(2, progress) != b"\r\n":
                raise NotHttpError("a chunk is longer than it says")
        while await self._until(b"\r\n", progress):
            pass
        return bytes(body)

    async def _write(self, data: bytes, progress: Progress) -> None:
        if self._ended or self._transport is None:
            raise self._error or ConnectionClosedError("closed while the request was sent")
        self._transport.write(data)
        if self._writable is not None:
            await asyncio.wait_for(asyncio.shield(self._writable), progress.allowance)

    async def _until(self, end: bytes, progress: Progress) -> bytes:
        searched = 0
        while True:
            found = self._pending.find(end, max(0, searched - len(end)))
            if found >= 0:
                line = self._take(found)
                self._take(len(end))
                return line
            searched = len(self._pending)
            if searched > MAX_HEAD_BYTES:
                raise NotHttpError("its head is larger than 64 KiB")
            await self._more(progress)

    async def _exactly(self, size: int, progress: Progress) -> bytes:
        while len(self._pending) < size:
            await self._more(progress)
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        if self._paused and self._transport is not None and len(self._pending) <= HIGH_WATER_BYTES:
            self._paused = False
            self._transport.resume_reading()
        return taken

    async def _more(self, progress: Progress) -> None:
        """Wait until more has come; raises when no more will."""
        if self._ended:
            raise self._error or ConnectionClosedError("closed before the answer was complete")
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        waiter = self._waiter = self._loop.create_future()
        # A timer costs a tenth of the task that asyncio.wait_for would make.
        timer = self._loop.call_later(max(0.0, progress.allowance), _give_up, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        self.answered = self.answered or bool(self._pending)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(asyncio.TimeoutError())
