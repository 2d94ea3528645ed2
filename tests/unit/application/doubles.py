"""The ports of the use cases in memory, so that these tests need neither database nor processes."""

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flexcore.application.admission import Admission
from flexcore.application.events import Events
from flexcore.application.execution_ends import ExecutionEnds
from flexcore.application.execution_results import KeptResult
from flexcore.application.executions import Executions
from flexcore.application.plugin_codes import NodePlugins
from flexcore.application.plugin_registry import PluginRegistry
from flexcore.application.plugins import Plugins
from flexcore.application.ports import (
    Append,
    Appended,
    EventQuery,
    ExecutionStatistics,
    FeedPoint,
    Job,
    PluginCode,
    PluginRequest,
    PluginResult,
    Receipt,
    ResourceUsage,
)
from flexcore.application.projections.projection import by_row, fold
from flexcore.application.read_models.plugin_inventory import PluginInventoryProjection, PluginRow, statistics_of
from flexcore.domain.errors import Conflict, Unavailable, VersionConflict
from flexcore.domain.events import PLUGIN_LIFECYCLE, NewEvent, RecordedEvent
from flexcore.domain.manifest import PluginCommand, PluginManifest
from flexcore.infrastructure.json_schema import JsonSchemaRules

START = datetime(2025, 8, 1, tzinfo=UTC)


def manifest(plugin_id: str, version: str = "1.0", type: str = "processor") -> PluginManifest:  # noqa: A002
    return PluginManifest(
        id=plugin_id,
        name=plugin_id.title(),
        version=version,
        type=type,
        description="",
        entry_point="m:C",
        commands=(
            PluginCommand(
                "run", "", {"properties": {"size": {"type": "integer"}}, "additionalProperties": False}, default=True
            ),
            PluginCommand("stop", "", {"additionalProperties": False}),
        ),
    )


def code(plugin_id: str, version: str = "1.0") -> PluginCode:
    return PluginCode(manifest(plugin_id, version), f"{plugin_id}-{version}", Path("/nowhere"))


class Log:
    """EventStore, PluginHistory, PluginInventory over one list. `down` makes it raise Unavailable, `hang` hang."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []
        self.jobs: list[Job] = []
        self.receipts: dict[str, tuple[Receipt, tuple[RecordedEvent, ...]]] = {}
        self.down = False
        self.hang = False
        self.before_append = lambda: None

    async def append(self, append: Append) -> Appended:
        await self._answer()
        hook, self.before_append = self.before_append, lambda: None
        hook()
        if append.receipt is not None and (first := self.receipts.get(append.receipt.key)) is not None:
            receipt, events = first
            if receipt.fingerprint != append.receipt.fingerprint:
                raise Conflict("the key was used for another request")
            return Appended(events, receipt.answer, repeated=True)
        before = len(self.events)
        try:
            for event_id, event in append.events:
                self.events.append(self._recorded(event_id, event))
        except VersionConflict:
            del self.events[before:]
            raise
        new = tuple(self.events[before:])
        self.jobs.extend(append.jobs)
        if append.receipt is not None:
            self.receipts[append.receipt.key] = (append.receipt, new)
        return Appended(new, None if append.receipt is None else append.receipt.answer)

    def _recorded(self, event_id: str, event: NewEvent) -> RecordedEvent:
        version = self.version(event.aggregate_id)
        if event.expected_version not in (None, version):
            raise VersionConflict(f"expected {event.expected_version}, is {version}")
        position = len(self.events) + 1
        return RecordedEvent(
            event_id,
            position,
            event.type,
            event.aggregate_id,
            event.aggregate_type,
            version + 1,
            event.data,
            event.metadata,
            START + timedelta(seconds=position),
            f"{position:064x}",
        )

    async def find(self, key: str) -> Receipt | None:
        await self._answer()
        return self.receipts[key][0] if key in self.receipts else None

    async def read(self, query: EventQuery, after: FeedPoint) -> tuple[list[RecordedEvent], bool]:
        await self._answer()
        found = self.events[after.position :]
        return found[: query.limit], len(found) > query.limit

    async def stream(self, aggregate_type: str, aggregate_id: str, after_version: int = 0) -> list[RecordedEvent]:
        await self._answer()
        stream = (aggregate_type, aggregate_id)
        events = [event for event in self.events if (event.aggregate_type, event.aggregate_id) == stream]
        return [event for event in events if event.version > after_version]

    async def feed(
        self, after_position: int, limit: int, aggregate_types: Sequence[str] | None = None
    ) -> list[RecordedEvent]:
        await self._answer()
        found = self.events[after_position : after_position + limit]
        return [event for event in found if aggregate_types is None or event.aggregate_type in aggregate_types]

    async def head(self) -> int:
        await self._answer()
        return len(self.events)

    async def lifecycle(self, plugin_id: str | None = None) -> list[RecordedEvent]:
        await self._answer()
        return [
            event for event in self.events if event.type in PLUGIN_LIFECYCLE and plugin_id in (None, event.aggregate_id)
        ]

    async def stream_version(self, plugin_id: str) -> int:
        await self._answer()
        return self.version(plugin_id)

    async def statistics(self, plugin_ids: Iterable[str]) -> Mapping[str, ExecutionStatistics]:
        await self._answer()
        projection = PluginInventoryProjection()
        rows = fold(projection, {}, by_row(projection, self.events))
        return {
            plugin_id: statistics_of(rows[plugin_id]) if plugin_id in rows else ExecutionStatistics()
            for plugin_id in plugin_ids
        }

    async def active(self) -> list[PluginRow]:
        await self._answer()
        projection = PluginInventoryProjection()
        rows = fold(projection, {}, by_row(projection, self.events))
        return [row for _, row in sorted(rows.items()) if row.enabled]

    def version(self, aggregate_id: str) -> int:
        return sum(event.aggregate_id == aggregate_id for event in self.events)

    def types(self) -> list[str]:
        return [str(event.type) for event in self.events]

    async def _answer(self) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.down:
            raise Unavailable("postgresql", "PostgreSQL refuses connections")


class Results:
    """KeptResults; answers whose data is "large" are not kept."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], PluginResult] = {}

    async def keep(self, execution_id: str, attempt: int, result: PluginResult) -> None:
        self.kept[execution_id, attempt] = result

    async def find(self, execution_id: str, attempt: int) -> KeptResult | None:
        result = self.kept.get((execution_id, attempt))
        if result is None:
            return None
        return KeptResult(999, kept=False) if result.data == "large" else KeptResult(9, kept=True, data=result.data)


class Runner:
    """PluginRunner that gives `answer`, or raises it, once `gate` is open; and the PluginCodes of what it runs."""

    def __init__(self, *manifests: PluginManifest) -> None:
        self.manifests = {item.id: item for item in manifests}
        self.answer: PluginResult | Exception = PluginResult(True, {"done": 1})
        self.problem: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[PluginRequest] = []
        self.reached = asyncio.Semaphore(0)
        self.cancelled = 0

    def find(self, plugin_id: str) -> PluginCode | None:
        return self.all().get(plugin_id)

    def all(self) -> Mapping[str, PluginCode]:
        return {
            name: PluginCode(item, f"{name}-{item.version}", Path("/nowhere")) for name, item in self.manifests.items()
        }

    async def warm(self, code: PluginCode) -> None:
        pass

    async def retire(self, code: PluginCode) -> None:
        pass

    def check(self, code: PluginCode) -> None:
        if self.problem is not None:
            raise self.problem

    async def run(self, request: PluginRequest) -> PluginResult:
        self.requests.append(request)
        self.reached.release()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def usage(self, plugin_id: str) -> ResourceUsage:
        return ResourceUsage(1.0, 2.0, 3) if plugin_id in self.manifests else ResourceUsage()


def node(log: Log, runner: Runner, node_id: str = "node1", slots: int = 2) -> Plugins:
    """One node's plugins over a log that it may share with others."""
    numbers = itertools.count(1)

    def new_id() -> str:
        return f"{node_id}-{next(numbers)}"

    events = Events(log, new_id)
    executions = Executions(
        events=events,
        ends=ExecutionEnds(events, log),
        results=Results(),
        runner=runner,
        clock=lambda: START,
        node_id=node_id,
        admission=Admission(node_id=node_id, slots=slots),
    )
    codes = NodePlugins(runner)
    return Plugins(
        registry=PluginRegistry(events=events, history=log, builtins=codes.builtins, new_id=new_id, node_id=node_id),
        inventory=log,
        runner=runner,
        codes=codes,
        rules=JsonSchemaRules(),
        executions=executions,
        new_id=new_id,
        node_id=node_id,
        max_timeout_seconds=300,
    )
