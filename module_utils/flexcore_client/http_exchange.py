"""HTTP straight to one server or through a proxy, over connections that are kept.

Why not httpx itself: what it adds (redirects, cookies, decoding, its own kind of URL and headers) the client wants
none of, and it makes a fan-out half as fast. Why not httpcore, its engine: that looks at every connection it has for
every request, does not tell which phase a request spends its time in, and takes anyio for its locks, all of which every
module call would load anew. Both leave the protocol to h11, and so does this.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections import deque

from .address import Address
from .exchange import Progress, RawAnswer
from .http_connection import HttpConnection
from .http_message import Request
from .http_proxy import Proxy
from .network import Stream

IDLE_CONNECTIONS = 2


class HttpExchange:
    """See Exchange. Keeps up to two connections to one server open between requests."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, proxy: Proxy | None = None) -> None:
        self._address = address
        self._tls = tls
        self._proxy = proxy
        self._idle: deque[HttpConnection] = deque()

    async def send(self, request: Request, progress: Progress, max_body_bytes: int) -> RawAnswer:
        """See Exchange. A connection that the server closed while it was idle is replaced."""
        request = dataclasses.replace(request, headers={"host": self._address.authority, **request.headers})
        if self._proxy is not None and self._tls is None:
            request = self._proxy.forwarding(request, self._address)
        while self._idle:
            kept = self._idle.pop()
            if not kept.usable:
                kept.stream.abort()
                continue
            kept.stream.begin(progress)
            try:
                return await self._over(kept, request, max_body_bytes)
            except ConnectionError:
                # Closed on the way, so it may have been read: only what changes nothing is sent again.
                if kept.stream.answered or request.method != "GET":
                    raise
        return await self._over(HttpConnection(await self._open(progress)), request, max_body_bytes)

    async def close(self) -> None:
        """See Exchange."""
        while self._idle:
            self._idle.pop().stream.abort()
        # Transports close in a later turn of the event loop, and a loop that ends before it leaves them open.
        await asyncio.sleep(0)

    async def _open(self, progress: Progress) -> Stream:
        if self._proxy is None:
            stream = await Stream.open(progress, self._address.host, self._address.port)
        elif self._tls is None:
            stream = await self._proxy.open(progress)
        else:
            stream = await self._proxy.tunnel(progress, self._address)
        if self._tls is not None:
            await stream.start_tls(self._tls, self._address.host)
        return stream

    async def _over(self, connection: HttpConnection, request: Request, max_body_bytes: int) -> RawAnswer:
        try:
            answer = await connection.ask(request, max_body_bytes)
        except BaseException:
            connection.stream.abort()
            raise
        if connection.usable and len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.stream.abort()
        return answer
