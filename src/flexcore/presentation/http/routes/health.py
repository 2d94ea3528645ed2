"""How this node is: for people, for load balancers, for supervisors. Reads the monitor's snapshot and never waits."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from flexcore.application.health import ComponentHealth, HealthMonitor, HealthSnapshot, Status
from flexcore.presentation.http.node import SERVICE, Node
from flexcore.presentation.http.operations import UNCACHED, Answer, Call, Content, Operation

_RETRY: Final = {"retry-after": "1"}


class HealthQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET /health."""

    detail: Annotated[bool, Meta(description="Add every component with its latest check")] = False


class Component(Struct, frozen=True, omit_defaults=True):
    """One component; `version` is left out where it has none or did not tell."""

    status: Status
    response_time_ms: float | None
    last_check: datetime | None
    message: str
    version: str | None = None


class Health(Struct, frozen=True, omit_defaults=True):
    """The node's health."""

    status: Status
    service: str
    version: str
    uptime: Annotated[int, Meta(description="Seconds")]
    timestamp: datetime
    node_id: str
    components: dict[str, Component] | None = None


class Live(Struct, frozen=True):
    """The process runs its loop."""

    status: str


class Ready(Struct, frozen=True):
    """Whether a request would succeed now, and why not."""

    status: Annotated[str, Meta(description="ready or not_ready")]
    reasons: tuple[str, ...]
    timestamp: datetime
    node_id: str


def component(health: ComponentHealth) -> Component:
    """Show one component."""
    return Component(health.status, health.response_time_ms, health.last_check, health.message, health.version)


class HealthRoutes:
    """/health, /health/live, /health/ready."""

    def __init__(self, monitor: HealthMonitor, node: Node) -> None:
        self._monitor = monitor
        self._node = node

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path="/health",
                name="getHealth",
                summary="How this node is; 503 when it is unhealthy",
                tag="health",
                handler=self._health,
                query=HealthQuery,
                answers={
                    200: Content(Health, "Healthy, or degraded and still serving"),
                    503: Content(Health, "Unhealthy"),
                },
                open=True,
            ),
            Operation(
                method="GET",
                path="/health/live",
                name="getLiveness",
                summary="Answers while the process runs its loop",
                tag="health",
                handler=self._live,
                answers={200: Content(Live, "Alive")},
                open=True,
            ),
            Operation(
                method="GET",
                path="/health/ready",
                name="getReadiness",
                summary="200 only if a request would succeed now",
                tag="health",
                handler=self._ready,
                answers={200: Content(Ready, "Ready"), 503: Content(Ready, "Not ready")},
                open=True,
            ),
        )

    async def _health(self, call: Call[HealthQuery, None]) -> Answer:
        snapshot = self._monitor.snapshot()
        health = Health(
            status=snapshot.status,
            service=SERVICE,
            version=self._node.version,
            uptime=self._node.uptime_seconds,
            timestamp=datetime.now(UTC),
            node_id=self._node.node_id,
            components=_components(snapshot) if call.query.detail else None,
        )
        return Answer(health, *_status(snapshot.status is not Status.UNHEALTHY))

    async def _live(self, call: Call[Any, None]) -> Answer:
        return Answer(Live("alive"), headers=UNCACHED)

    async def _ready(self, call: Call[Any, None]) -> Answer:
        snapshot = self._monitor.snapshot()
        status = "ready" if snapshot.ready else "not_ready"
        return Answer(Ready(status, snapshot.reasons, datetime.now(UTC), self._node.node_id), *_status(snapshot.ready))


def _components(snapshot: HealthSnapshot) -> dict[str, Component]:
    return {name: component(health) for name, health in snapshot.components.items()}


def _status(good: bool) -> tuple[int, dict[str, str]]:
    return (200, UNCACHED) if good else (503, UNCACHED | _RETRY)
