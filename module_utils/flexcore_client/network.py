"""TCP and TLS on asyncio's transports: every wait is limited by the attempt that is under way.

asyncio's own streams know neither the phase that time runs out in nor a server of another protocol by its first bytes,
and would wait for a head that never ends.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import ssl

from .exchange import ConnectionClosedError, NotHttpError, Progress

# What may wait to be read before the socket is left alone for a while.
HIGH_WATER_BYTES = 1 << 20
BEGINNING = b"HTTP/1."
FIRST_ERRNO = re.compile(r"Multiple exceptions: \[Errno ([0-9]+)\]")


class Stream(asyncio.Protocol):
    """One connection: what came and was not read yet, and whoever waits for more.

    ``progress`` is that of the request that it carries now. ``answered`` says whether anything came since that began,
    ``ended`` whether the server closed the connection in good order, and all before was read.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.answered = False
        self.ended = False
        self._transport: asyncio.Transport | None = None
        self._pending = bytearray()
        self._closed_by_peer = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._is_http = False

    @classmethod
    async def open(cls, progress: Progress, host: str, port: int) -> Stream:
        """Connect; raises OSError and asyncio.TimeoutError."""
        progress.phase = "connect"
        loop = asyncio.get_running_loop()
        # A name may have an address that leads nowhere beside one that answers: the second is tried after 250 ms. To be
        # ready for that costs a fifth of a check, which an address in numbers is spared.
        delay = 0.25 if _is_name(host) else None
        opening = loop.create_connection(lambda: cls(progress), host, port, happy_eyeballs_delay=delay)
        try:
            _, stream = await asyncio.wait_for(opening, progress.allowance)
        except OSError as error:
            raise _first_of_several(error) from None
        return stream

    def begin(self, progress: Progress) -> None:
        """Let it carry a request."""
        self.progress = progress
        self.answered = self.ended = False

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: the connection is open, and the server said nothing unasked."""
        closed = self._closed_by_peer or self._transport is None or self._transport.is_closing()
        return not (closed or self._pending)

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
        if len(self._pending) > HIGH_WATER_BYTES and self._transport is not None and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note that no more comes."""
        self._closed_by_peer = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note why no more comes."""
        self._closed_by_peer = True
        self._error = exc
        self._wake()

    def pause_writing(self) -> None:
        """Let the sender of a large body wait."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Let the sender of a large body go on."""
        self._writing_paused = False
        self._wake()

    # What whoever speaks HTTP over it calls.

    async def read(self, max_bytes: int) -> bytes:
        """Return what came, at least a byte, or nothing when no more will; raises why the connection broke."""
        if self.progress.phase != "body":
            self.progress.phase = "first byte"
        needed = 1 if self._is_http else len(BEGINNING)
        while len(self._pending) < needed and not self._closed_by_peer:
            await self._change()
        if not self._is_http and len(self._pending) >= needed:
            if not self._pending.startswith(BEGINNING):
                # Said now: a server of another protocol may greet and then wait for as long as it is let.
                raise NotHttpError(f"it begins {self._pending[:40].decode('utf-8', 'replace')!r}")
            self._is_http = True
        if not self._pending:
            if self._error is not None:
                raise self._error
            self.ended = True
        self.answered = self.answered or bool(self._pending)
        data = bytes(self._pending[:max_bytes])
        del self._pending[:max_bytes]
        if self._reading_paused and not self._pending and self._transport is not None:
            # Now rather than with the next wait: what is kept between requests has to hear of its end.
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send; raises BrokenPipeError where the server wants no more, and may have said why."""
        self.progress.phase = "send"
        if self._transport is None or self._closed_by_peer:
            raise BrokenPipeError
        self._require_time()
        self._transport.write(data)
        while self._writing_paused:
            await self._change()
            if self._closed_by_peer:
                raise BrokenPipeError

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on under TLS with ``host``; raises OSError, also ssl's, and asyncio.TimeoutError."""
        self.progress.phase = "tls"
        try:
            self._transport = await self._secured(context, host)
        except BaseException:
            self.abort()
            raise
        self._is_http = False

    async def _secured(self, context: ssl.SSLContext, host: str) -> asyncio.Transport:
        if self._transport is None or self._pending:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the server spoke before the handshake")
        if self._closed_by_peer:
            # asyncio would shake hands with nobody, and wait for an answer.
            raise self._error or ConnectionClosedError("closed before the handshake")
        loop = asyncio.get_running_loop()
        shaking = loop.start_tls(self._transport, self, context, server_hostname=host)
        try:
            secured = await asyncio.wait_for(shaking, self.progress.allowance)
        except TypeError:
            # To an https server through an https proxy.
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "TLS within TLS takes Python 3.11 or later") from None
        if secured is None:
            raise ConnectionClosedError("closed during the handshake")
        return secured

    async def _change(self) -> None:
        """Wait until something came, was sent, or ended; raises asyncio.TimeoutError."""
        self._require_time()
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        # A timer costs a tenth of the task that asyncio.wait_for would make.
        timer = loop.call_later(self.progress.allowance, _give_up, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _require_time(self) -> None:
        """Raise asyncio.TimeoutError without a wait: a peer that never lets one begin is not stopped by its end."""
        if self.progress.remaining == 0:
            raise asyncio.TimeoutError

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(asyncio.TimeoutError())


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _first_of_several(error: OSError) -> OSError:
    """Return the first failure where asyncio puts those of all addresses of a name into one text."""
    number = FIRST_ERRNO.match(str(error))
    return error if number is None else OSError(int(number[1]), os.strerror(int(number[1])))
