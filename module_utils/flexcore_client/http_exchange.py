"""HTTP by httpcore, the engine of httpx, straight to a server or through a proxy.

Why not httpx itself: what it adds (redirects, cookies, decoding, its own kind of URL and headers) the client wants
none of, and it makes a fan-out half as fast and the start of a module 60 ms longer. Why no pool: with one, nobody knows
which request a connection spends its time on, and httpcore's looks at every connection it has for every request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from .address import Address
from .errors import InputError
from .exchange import BodyTooLargeError, ConnectionClosedError, NotHttpError, Progress, ProxyRefusedError, RawAnswer
from .http_library import httpcore
from .http_message import Body, Request
from .network import Network

IDLE_CONNECTIONS = 2


@dataclass(frozen=True)
class Proxy:
    """``url`` of a proxy with its login if it wants one; ``tls`` is for one that is spoken with over https."""

    url: str
    tls: ssl.SSLContext | None


class HttpExchange:
    """See Exchange. Keeps up to two connections to one server open between requests."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, proxy: Proxy | None = None) -> None:
        self._address = address
        self._tls = tls
        self._proxy = proxy
        self._origin = httpcore.Origin(address.scheme.encode(), address.host.encode("ascii"), address.port)
        self._idle: deque[_Way] = deque()

    async def send(self, request: Request, progress: Progress, max_body_bytes: int) -> RawAnswer:
        """See Exchange. A connection that the server closed while it was idle is replaced."""
        while self._idle:
            kept = self._idle.pop()
            if not kept.network.usable:
                kept.network.abort()
                continue
            try:
                return await self._over(kept, request, progress, max_body_bytes)
            except ConnectionError:
                # Closed on the way, so it may have been read: only what changes nothing is sent again.
                if kept.network.answered or request.method != "GET":
                    raise
        return await self._over(await self._open(progress), request, progress, max_body_bytes)

    async def close(self) -> None:
        """See Exchange."""
        while self._idle:
            self._idle.pop().network.abort()
        # Transports close in a later turn of the event loop, and a loop that ends before it leaves them open.
        await asyncio.sleep(0)

    async def _open(self, progress: Progress) -> _Way:
        network = Network(progress)
        if self._proxy is None:
            stream = await network.connect_tcp(self._address.host, self._address.port)
            if self._tls is not None:
                stream = await stream.start_tls(self._tls, self._address.host)
            return _Way(network, httpcore.AsyncHTTP11Connection(self._origin, stream))
        proxy = urlsplit(self._proxy.url)
        login = None
        if proxy.username:
            login = unquote(proxy.username).encode(), unquote(proxy.password or "").encode()
        pool = httpcore.AsyncHTTPProxy(
            httpcore.URL(scheme=proxy.scheme, host=proxy.hostname or "", port=proxy.port, target="/"),
            proxy_auth=login,
            ssl_context=self._tls,
            proxy_ssl_context=self._proxy.tls,
            max_connections=1,
            network_backend=network,
        )
        return _Way(network, pool)

    async def _over(self, way: _Way, request: Request, progress: Progress, limit: int) -> RawAnswer:
        way.network.begin(progress)
        whole = False
        try:
            with _own_errors(way.network):
                answer = await self._ask(way, request, progress, limit)
            whole = True
        finally:
            if whole and len(self._idle) < IDLE_CONNECTIONS and way.network.usable:
                self._idle.append(way)
            else:
                way.network.abort()
        return answer

    async def _ask(self, way: _Way, request: Request, progress: Progress, limit: int) -> RawAnswer:
        origin = self._origin
        response = await way.connection.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=request.target),
                headers=_encoded({"host": self._address.authority, **request.all_headers}),
                content=None if request.body is None else _parts(request.body),
            )
        )
        progress.phase = "body"
        headers: dict[str, str] = {}
        for raw_name, raw_value in response.headers:
            name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if int(headers.get("content-length", "0")) > limit:
            raise BodyTooLargeError(response.status)
        body = bytearray()
        async for part in response.aiter_stream():
            body += part
            if len(body) > limit:
                raise BodyTooLargeError(response.status)
        await response.aclose()
        return RawAnswer(response.status, headers, bytes(body))


@dataclass(frozen=True)
class _Way:
    """A connection as the network sees it, and as httpcore does, to which one through a proxy is a pool of one."""

    network: Network
    connection: httpcore.AsyncHTTP11Connection | httpcore.AsyncHTTPProxy


@contextmanager
def _own_errors(network: Network) -> Iterator[None]:
    """Turn httpcore's errors into those of an Exchange; those of the network pass through it as they are."""
    try:
        yield
    except httpcore.ProxyError as error:
        raise ProxyRefusedError(str(error)) from error
    except httpcore.RemoteProtocolError as error:
        if network.ended:
            raise ConnectionClosedError(str(error)) from error
        raise NotHttpError(str(error)) from error
    except (httpcore.LocalProtocolError, UnicodeEncodeError):
        # Its own words may hold the header at fault, and so a secret.
        raise InputError("the request cannot be sent: one of its headers holds what no header may") from None


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]


async def _parts(body: Body) -> AsyncIterator[bytes]:
    sent = 0
    for part in body.parts():
        sent += len(part)
        if sent > body.length:
            break
        yield part
    if sent != body.length:
        more = "at least " if sent > body.length else ""
        raise InputError(
            f"the request cannot be sent: its body is {more}{sent} bytes long, announced were {body.length}"
        )
