"""Joins the operations into one ASGI application."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from flexcore.application.audit import Audit
from flexcore.application.ports import NewId
from flexcore.presentation.http import openapi
from flexcore.presentation.http.access import AccessPolicy
from flexcore.presentation.http.endpoint import Endpoint, no_such_path
from flexcore.presentation.http.observer import Observer, RequestMetrics
from flexcore.presentation.http.operations import Operation
from flexcore.presentation.http.routes.meta import MetaRoutes

_HEALTH: Final = ("/health", "/metrics", "/info")


def operation_table(
    operations: Iterable[Operation], *, version: str, metrics: Callable[[], bytes], open_health: bool = True
) -> tuple[Operation, ...]:
    """Complete `operations` with those that describe and measure them all.

    Unless `open_health`, what tells how the node is needs a token as everything else does.
    """

    @functools.cache
    def described() -> dict[str, Any]:
        return openapi.document(table, version)

    table = (*operations, *MetaRoutes(described, metrics).operations())
    if not open_health:
        table = tuple(_closed(operation) for operation in table)
    return table


def _closed(operation: Operation) -> Operation:
    tells_of_health = operation.path.startswith(_HEALTH)
    return dataclasses.replace(operation, open=False) if tells_of_health else operation


def build_app(
    operations: Sequence[Operation],
    *,
    access: AccessPolicy,
    audit: Audit,
    max_body_bytes: int,
    metrics: RequestMetrics,
    new_id: NewId,
) -> ASGIApp:
    """Return the application that serves `operations`.

    A path without parameters is found at once; the others are tried in their order of declaration.
    """
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    endpoints = {path: Endpoint(group, access, audit, max_body_bytes) for path, group in by_path.items()}
    routes = [Route(path, endpoint) for path, endpoint in endpoints.items() if "{" in path]
    fixed = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
    return Observer(_Paths(fixed, Router(routes, redirect_slashes=False, default=no_such_path)), metrics, new_id)


class _Paths:
    """Starlette's router tries one regular expression after the other, which costs more than most requests do."""

    def __init__(self, fixed: Mapping[str, ASGIApp], others: ASGIApp) -> None:
        self._fixed = fixed
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._fixed.get(scope["path"])
        if endpoint is None:
            await self._others(scope, receive, send)
        else:
            scope["path_params"] = {}
            await endpoint(scope, receive, send)
