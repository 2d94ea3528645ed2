"""Surrounds every request: correlation id in and out, metrics, one access log line, and an answer to every error.

Pure ASGI, because it runs for each request: Starlette's BaseHTTPMiddleware costs several times what a request does.
"""

import asyncio
import logging
import re
import time
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.ports import NewId
from flexcore.presentation.http.auditing import CORRELATION
from flexcore.presentation.http.endpoint import ROUTE
from flexcore.presentation.http.problems import HttpError, internal_error, send_problem, stopping
from flexcore.presentation.http.validation import ClientGoneError

UNMATCHED: Final = "unmatched"
"""Route of requests to paths that do not exist, so that they can't fill the metrics with labels."""

_HEADER: Final = b"x-correlation-id"
_ACCEPTED_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET_ROUTES: Final = frozenset({"/health", "/health/live", "/health/ready", "/info", "/metrics"})
_LONGEST_PATH: Final = 256
_logger = logging.getLogger("flexcore.http")


class RequestMetrics(Protocol):
    """Counts requests."""

    def request_finished(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request; every argument but the duration is from a small fixed set."""
        ...


class Observer:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, new_id: NewId) -> None:
        self._app = app
        self._metrics = metrics
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; never raises."""
        started = time.perf_counter()
        correlation_id = self._correlation_id(scope)
        scope[CORRELATION] = correlation_id
        CORRELATION_ID.set(correlation_id)
        status, problem = 0, None

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((_HEADER, correlation_id.encode()))
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except HttpError as error:
            problem = str(error)
            await send_problem(observed_send, error, path=scope["path"], correlation_id=correlation_id)
        except asyncio.CancelledError:
            # The server cuts off what outlives its drain. The request's task ends here either way, so the client can
            # still be told.
            if not status:
                await send_problem(observed_send, stopping(), path=scope["path"], correlation_id=correlation_id)
        except ClientGoneError:
            _logger.info("client closed the connection before its request was complete", extra={"path": _path(scope)})
        except Exception:
            _logger.exception("request failed unexpectedly", extra={"method": scope["method"], "path": _path(scope)})
            if not status:
                await send_problem(observed_send, internal_error(), path=scope["path"], correlation_id=correlation_id)
        self._record(scope, status, time.perf_counter() - started, problem)

    def _correlation_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == _HEADER and _ACCEPTED_ID.fullmatch(value):
                return str(value, "ascii")
        return self._new_id()

    def _record(self, scope: Scope, status: int, seconds: float, problem: str | None) -> None:
        route, method = scope.get(ROUTE, UNMATCHED), scope["method"]
        self._metrics.request_finished(route, method if method in _KNOWN_METHODS else "other", status, seconds)
        level = logging.WARNING if status >= 500 else logging.INFO
        if route in _QUIET_ROUTES and status < 400:
            level = logging.DEBUG
        if _logger.isEnabledFor(level):
            client = scope.get("client")
            fields = {
                "method": method,
                "path": _path(scope),
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
                "client": client[0] if client else None,
            }
            if problem is not None:
                fields["problem"] = problem
            _logger.log(level, "%s %s %d", method, fields["path"], status, extra=fields)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path[:_LONGEST_PATH]
