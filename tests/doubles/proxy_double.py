"""An HTTP proxy in a thread: it forwards plain requests, opens tunnels, and asks for a login if it is given one."""

from __future__ import annotations

import base64
import contextlib
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class ProxyDouble:
    """The running double; ``asked`` holds what it was asked for, as ``METHOD target``."""

    port: int
    scheme: str = "http"
    asked: list[str] = field(default_factory=list)

    def url(self, login: str = "") -> str:
        return f"{self.scheme}://{login}127.0.0.1:{self.port}"


@contextlib.contextmanager
def proxying(login: str | None = None, tls: ssl.SSLContext | None = None) -> Iterator[ProxyDouble]:
    """Run the proxy on a free loopback port; with a ``user:password`` it serves nobody else.

    With ``tls`` it is spoken with over https. Tunnels through it are then read a record at a time.
    """
    wanted = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def refused(self) -> bool:
            double.asked.append(f"{self.command} {self.path}")
            if wanted is None or self.headers["Proxy-Authorization"] == wanted:
                return False
            self.send_response(407)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return True

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if self.refused():
                return
            there = urlsplit(self.path)
            connection = http.client.HTTPConnection(there.netloc)
            connection.request(self.command, f"{there.path}?{there.query}", body, dict(self.headers))
            with contextlib.closing(connection), connection.getresponse() as answer:
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_PUT = forward  # noqa: N815, the names of http.server

        def do_CONNECT(self) -> None:
            if self.refused():
                return
            host, port = self.path.split(":")
            with socket.create_connection((host, int(port))) as there:
                self.send_response(200)
                self.end_headers()
                ends = {self.connection: there, there: self.connection}
                while part := next((end, end.recv(65536)) for end in select.select(list(ends), [], [])[0]):
                    if not part[1]:
                        break
                    ends[part[0]].sendall(part[1])
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Stay silent: what was asked is in ``asked``."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that goes away is part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        double = ProxyDouble(server.server_address[1], "http" if tls is None else "https")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()
