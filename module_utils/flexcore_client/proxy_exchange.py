"""HTTP through a proxy, which httpx knows how to ask: absolute targets, tunnels for https, the proxy's own login."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

from .address import Address
from .direct_exchange import ConnectionClosedError
from .exchange import BodyTooLargeError, Progress, RawAnswer
from .http_library import httpx
from .http_message import NotHttpError, Request

# What httpx is doing, as its trace hook tells it.
PHASE_OF_TRACE = {
    "connection.connect_tcp.started": "connect",
    "connection.start_tls.started": "tls",
    "http_proxy.start_tls.started": "tls",
    "http11.send_request_headers.started": "send",
    "http11.receive_response_headers.started": "first byte",
    "http11.receive_response_body.started": "body",
}


class ProxyExchange:
    """See Exchange. ``proxy`` is the proxy's URL, with its login if it wants one."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, proxy: str) -> None:
        self._origin = address.origin
        self._pool = httpx.AsyncHTTPTransport(
            verify=tls if tls is not None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            proxy=httpx.Proxy(proxy),
            # With idle connections kept, httpx walks all of them for every request.
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """See Exchange."""
        await self._pool.aclose()

    async def send(self, request: Request, progress: Progress, max_body_bytes: int) -> RawAnswer:
        """See Exchange."""

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            progress.phase = PHASE_OF_TRACE.get(event, progress.phase)

        headers, content = dict(request.headers), None
        if request.body is not None:
            headers |= {"content-type": request.body.content_type, "content-length": str(request.body.length)}
            content = _stream(request.body.parts())
        limits = dict.fromkeys(("connect", "read", "write"), progress.allowance)
        asked = httpx.Request(
            request.method,
            self._origin + request.target,
            headers=headers,
            content=content,
            extensions={"timeout": limits, "trace": trace},
        )
        try:
            return await asyncio.wait_for(self._exchange(asked, max_body_bytes), progress.remaining)
        except httpx.TimeoutException:
            raise asyncio.TimeoutError from None
        except httpx.ProxyError as error:
            raise ConnectionClosedError(f"the proxy refused: {error}") from error
        except httpx.RemoteProtocolError as error:
            if "disconnected" in str(error) or "closed connection" in str(error):
                raise ConnectionClosedError(str(error)) from error
            raise NotHttpError(str(error)) from error
        except httpx.TransportError as error:
            raise _network_error(error) from error

    async def _exchange(self, request: Any, max_body_bytes: int) -> RawAnswer:
        response = await self._pool.handle_async_request(request)
        try:
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > max_body_bytes:
                    raise BodyTooLargeError(response.status_code)
        finally:
            await response.aclose()
        return RawAnswer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))


async def _stream(parts: Any) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def _network_error(error: BaseException) -> OSError:
    """Return the exception of the network that the library wrapped."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError):
            return current
        current = current.__cause__ or current.__context__
    return ConnectionClosedError(str(error))
