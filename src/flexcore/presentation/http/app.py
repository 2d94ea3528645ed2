"""Joins the operations into one ASGI application."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from flexcore.application.ports import NewId
from flexcore.presentation.http import openapi
from flexcore.presentation.http.access import AccessPolicy
from flexcore.presentation.http.endpoint import Endpoint, no_such_path
from flexcore.presentation.http.observer import Observer, RequestMetrics
from flexcore.presentation.http.operations import Operation
from flexcore.presentation.http.routes.meta import MetaRoutes


def operation_table(
    operations: Iterable[Operation], *, version: str, metrics: Callable[[], bytes]
) -> tuple[Operation, ...]:
    """Complete `operations` with those that describe and measure them all."""

    @functools.cache
    def described() -> dict[str, Any]:
        return openapi.document(table, version)

    table = (*operations, *MetaRoutes(described, metrics).operations())
    return table


def build_app(
    operations: Sequence[Operation],
    *,
    access: AccessPolicy,
    max_body_bytes: int,
    metrics: RequestMetrics,
    new_id: NewId,
) -> ASGIApp:
    """Return the application that serves `operations`. Paths are tried in their order of declaration."""
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    routes = [Route(path, Endpoint(group, access, max_body_bytes)) for path, group in by_path.items()]
    return Observer(Router(routes, redirect_slashes=False, default=no_such_path), metrics, new_id)
