"""The API about itself: its description and its metrics."""

from collections.abc import Callable
from typing import Any, Final

from flexcore.presentation.http.operations import Answer, Call, Content, Operation

METRICS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class MetaRoutes:
    """/openapi.json and /metrics."""

    def __init__(self, openapi: Callable[[], dict[str, Any]], metrics: Callable[[], bytes]) -> None:
        self._openapi = openapi
        self._metrics = metrics

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path="/openapi.json",
                name="getOpenApi",
                summary="This document",
                tag="service",
                handler=self._get_openapi,
                answers={200: Content(dict[str, Any], "OpenAPI 3.1")},
                open=True,
            ),
            Operation(
                method="GET",
                path="/metrics",
                name="getMetrics",
                summary="Metrics in Prometheus' text format",
                tag="health",
                handler=self._get_metrics,
                answers={200: Content(None, "Prometheus text format", METRICS_MEDIA_TYPE)},
                open=True,
            ),
        )

    async def _get_openapi(self, call: Call[Any, None]) -> Answer:
        return Answer(self._openapi())

    async def _get_metrics(self, call: Call[Any, None]) -> Answer:
        return Answer(self._metrics())
