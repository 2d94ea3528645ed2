"""The service's status page for programs, and what this build is."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from flexcore.application.events import Events
from flexcore.application.health import HealthMonitor, Status
from flexcore.application.pipelines import Pipelines
from flexcore.application.plugins import Plugins
from flexcore.domain.errors import Unavailable
from flexcore.presentation.http.node import SERVICE, Node
from flexcore.presentation.http.operations import Answer, Call, Content, Operation

_DEPENDENCIES: Final = ("postgresql", "redis")
_COUNT_SECONDS: Final = 1.0


class Dependency(Struct, frozen=True):
    """The latest check of one dependency."""

    status: Status
    response_time_ms: float | None
    last_check: datetime | None


class Metrics(Struct, frozen=True):
    """Figures; those that PostgreSQL has to give are null while it does not answer."""

    plugins_active: int | None
    pipelines_running: int | None
    events_processed: int | None
    uptime_seconds: int


class ServiceStatus(Struct, frozen=True):
    """Status of the service."""

    service: str
    version: str
    status: Status
    timestamp: datetime
    dependencies: dict[str, Dependency]
    metrics: Metrics


class Info(Struct, frozen=True):
    """What runs here."""

    service: str
    version: str
    commit: Annotated[str | None, Meta(description="Revision of the source, null if the build does not know it")]
    node_id: str
    environment: str
    started_at: datetime
    api_versions: tuple[str, ...]
    features: tuple[str, ...]


class StatusRoutes:
    """/info and /api/v1/flexcore/status."""

    def __init__(
        self, monitor: HealthMonitor, plugins: Plugins, pipelines: Pipelines, events: Events, node: Node
    ) -> None:
        self._monitor = monitor
        self._plugins = plugins
        self._pipelines = pipelines
        self._events = events
        self._node = node

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path="/info",
                name="getInfo",
                summary="What runs here",
                tag="service",
                handler=self._info,
                answers={200: Content(Info, "Name, version and abilities")},
                open=True,
            ),
            Operation(
                method="GET",
                path="/api/v1/flexcore/status",
                name="getStatus",
                summary="The service, its dependencies and its figures; 503 when it is unhealthy",
                tag="service",
                handler=self._status,
                answers={
                    200: Content(ServiceStatus, "Healthy, or degraded and still serving"),
                    503: Content(ServiceStatus, "Unhealthy"),
                },
            ),
        )

    async def _info(self, call: Call[Any, None]) -> Answer:
        info = Info(
            service=SERVICE,
            version=self._node.version,
            commit=None,
            node_id=self._node.node_id,
            environment=self._node.environment,
            started_at=self._node.started_at,
            api_versions=("v1",),
            features=(
                "cluster",
                "commands",
                "events",
                "logs",
                "pipelines",
                "plugins",
                "queries",
                "runtime",
                "services",
            ),
        )
        return Answer(info)

    async def _status(self, call: Call[Any, None]) -> Answer:
        snapshot = self._monitor.snapshot()
        healthy = snapshot.status is not Status.UNHEALTHY
        plugins, pipelines, events = await self._figures() if healthy else (None, None, None)
        dependencies = {
            name: Dependency(found.status, found.response_time_ms, found.last_check)
            for name, found in snapshot.components.items()
            if name in _DEPENDENCIES
        }
        metrics = Metrics(
            plugins_active=plugins,
            pipelines_running=pipelines,
            events_processed=events,
            uptime_seconds=self._node.uptime_seconds,
        )
        status = ServiceStatus(SERVICE, self._node.version, snapshot.status, datetime.now(UTC), dependencies, metrics)
        return Answer(status) if healthy else Answer(status, 503, {"retry-after": "1"})

    async def _figures(self) -> tuple[int | None, int | None, int | None]:
        """Active plugins, running pipelines and events in the log; unknown if PostgreSQL went away meanwhile."""
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                active = await self._plugins.page(status="active", type=None, limit=1, offset=0)
                return active.total, await self._pipelines.running(), await self._events.head()
        except (Unavailable, TimeoutError):
            return None, None, None
