"""Listens and serves: uvicorn, with clear errors for what an operator can get wrong, and signals left to the caller."""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from flexcore.application.ports import NewId
from flexcore.presentation.http.protocol import problem_protocol

_BACKLOG = 1024
# What a request that is no execution may still take once the server stops.
_LAST_ANSWERS_SECONDS = 2
_logger = logging.getLogger("flexcore.http")


class ListenError(Exception):
    """The server can't listen as it was told to; the text is one line."""


class Server(uvicorn.Server):
    """Serves `app` on `listener` until `should_exit` is set; `on_listening` is called once connections are accepted."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        *,
        new_id: NewId,
        on_listening: Callable[[], None],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=problem_protocol(new_id),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
                ssl_context_factory=None if tls is None else lambda *_: tls,
            )
        )
        self._listener = listener
        self._on_listening = on_listening

    async def run_until_stopped(self) -> None:
        """Serve; returns when every connection is closed or was cut."""
        await self.serve([self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting connections, then say so."""
        await super().startup(sockets)
        self._on_listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the composition root drains the node before it stops the server."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Take the address, without accepting connections yet; port 0 takes any free one. Raises ListenError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ListenError(f"cannot listen on {host} port {port}: {_reason(error)} (http.host)") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        advice = "stop what listens there, or set http.port or http.host"
        raise ListenError(f"cannot listen on {host} port {port}: {_reason(error)}; {advice}") from error
    return listener


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
