"""The node that answers: what runs in it, what it counts, how it is configured."""

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from flexcore.application.runtime import EffectiveSetting, Process, Runtime, Sample, Sandbox, Slots, Worker
from flexcore.domain.node import NodeStatus
from flexcore.presentation.http.node import Node
from flexcore.presentation.http.operations import Answer, Call, Content, Operation

_RUNTIME = "/api/v1/flexcore/runtime"


class RuntimeStatus(Struct, frozen=True):
    """The node that answers."""

    node_id: str
    address: str | None
    version: str
    environment: str
    status: NodeStatus
    started_at: datetime
    uptime_seconds: int
    timestamp: datetime
    leading: bool
    term: Annotated[int | None, Meta(description="Number of the term in which it leads")]
    slots: Slots
    workers: tuple[Worker, ...]
    process: Process
    sandbox: Sandbox


class RuntimeMetrics(Struct, frozen=True):
    """What this node has counted since its start; histograms by their count and sum."""

    node_id: str
    timestamp: datetime
    metrics: tuple[Sample, ...]


class RuntimeConfig(Struct, frozen=True):
    """Every setting of this node."""

    node_id: str
    settings: tuple[EffectiveSetting, ...]


class RuntimeRoutes:
    """/api/v1/flexcore/runtime and below."""

    def __init__(self, runtime: Runtime, node: Node) -> None:
        self._runtime = runtime
        self._node = node

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=_RUNTIME + "/status",
                name="getRuntimeStatus",
                summary="The node that answers: its workers, its slots, its memory, its sandbox",
                tag="runtime",
                handler=self._status,
                answers={200: Content(RuntimeStatus, "This node")},
            ),
            Operation(
                method="GET",
                path=_RUNTIME + "/metrics",
                name="getRuntimeMetrics",
                summary="The figures of /metrics as JSON",
                tag="runtime",
                handler=self._metrics,
                answers={200: Content(RuntimeMetrics, "The figures")},
            ),
            Operation(
                method="GET",
                path=_RUNTIME + "/config",
                name="getRuntimeConfig",
                summary="The settings in force and where each came from; secrets are ***",
                tag="runtime",
                handler=self._config,
                answers={200: Content(RuntimeConfig, "The settings")},
            ),
        )

    async def _status(self, call: Call[Any, None]) -> Answer:
        condition = self._runtime.condition()
        status = RuntimeStatus(
            node_id=self._node.node_id,
            address=condition.node.address,
            version=self._node.version,
            environment=self._node.environment,
            status=condition.node.status,
            started_at=self._node.started_at,
            uptime_seconds=self._node.uptime_seconds,
            timestamp=datetime.now(UTC),
            leading=condition.term is not None,
            term=condition.term,
            slots=condition.slots,
            workers=condition.workers,
            process=condition.process,
            sandbox=condition.sandbox,
        )
        return Answer(status)

    async def _metrics(self, call: Call[Any, None]) -> Answer:
        return Answer(RuntimeMetrics(self._node.node_id, datetime.now(UTC), tuple(self._runtime.samples())))

    async def _config(self, call: Call[Any, None]) -> Answer:
        return Answer(RuntimeConfig(self._node.node_id, self._runtime.settings()))
