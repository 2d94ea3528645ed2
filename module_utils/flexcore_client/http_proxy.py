"""A way through an HTTP proxy: plain requests are forwarded by it, for https it opens a tunnel."""

from __future__ import annotations

import base64
import dataclasses
import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from .address import DEFAULT_PORTS, Address
from .exchange import Progress
from .http_connection import HttpConnection
from .http_message import Request
from .network import Stream


@dataclass(frozen=True)
class Proxy:
    """``url`` of a proxy with its login if it wants one; ``tls`` is for one that is spoken with over https."""

    url: str = dataclasses.field(repr=False)
    tls: ssl.SSLContext | None

    async def open(self, progress: Progress) -> Stream:
        """Connect to the proxy itself."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        stream = await Stream.open(progress, host, parts.port or DEFAULT_PORTS[parts.scheme])
        if self.tls is not None:
            await stream.start_tls(self.tls, host)
        return stream

    async def tunnel(self, progress: Progress, address: Address) -> Stream:
        """Connect through it to the server; raises ProxyRefusedError."""
        stream = await self.open(progress)
        try:
            await HttpConnection(stream).connect(urlsplit(address.origin).netloc, self._login)
        except BaseException:
            stream.abort()
            raise
        return stream

    def forwarding(self, request: Request, address: Address) -> Request:
        """Return what the proxy is asked for, so that it asks the server for ``request``."""
        headers = {**request.headers, **self._login}
        return dataclasses.replace(request, target=address.origin + request.target, headers=headers)

    @property
    def _login(self) -> dict[str, str]:
        parts = urlsplit(self.url)
        if not parts.username:
            return {}
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return {"proxy-authorization": "Basic " + base64.b64encode(login.encode()).decode()}
