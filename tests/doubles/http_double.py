"""A real HTTP server in a thread that answers by a table, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """What the double answers; a body that is not text or bytes is sent as JSON."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    @property
    def content_type(self) -> str:
        return "text/plain" if isinstance(self.body, (str, bytes)) else "application/json"


@dataclass(frozen=True)
class Seen:
    """A request as the double received it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Routes = Mapping[str, Reply | Callable[[Seen], Reply]]
NOT_FOUND = Reply("404 page not found", 404)


class HttpDouble:
    """The running double."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.seen: list[Seen] = []

    @property
    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    @property
    def writes(self) -> list[str]:
        """Every request that may have changed something, as ``METHOD path``."""
        return [f"{seen.method} {seen.path}" for seen in self.seen if seen.method not in ("GET", "HEAD")]


@contextlib.contextmanager
def serving(routes: Routes, tls: ssl.SSLContext | None = None) -> Iterator[HttpDouble]:
    """Serve ``routes`` on a free loopback port.

    A route is named by its path for GET, and as ``POST /path`` for other methods; what is not named is 404, as upstream
    has it.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            seen = Seen(self.command, parts.path, query, headers, body)
            double.seen.append(seen)
            name = parts.path if self.command == "GET" else f"{self.command} {parts.path}"
            route = routes.get(name, NOT_FOUND)
            reply = route(seen) if callable(route) else route
            self.send_response(reply.status)
            content = reply.content
            for name, value in {
                "Content-Type": reply.content_type,
                "Content-Length": str(len(content)),
                **reply.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815, the names of http.server

        def log_message(self, *_: Any) -> None:
            """Stay silent: what was asked is in ``seen``."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """A client that goes away is part of many tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        double = HttpDouble(server.server_address[1], "http" if tls is None else "https")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()
