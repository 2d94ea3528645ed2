"""PluginInventory: every plugin that was ever registered, and how its executions fared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from flexcore.application.ports import ExecutionStatistics
from flexcore.application.read_models.facts import count, number, text, whole_number
from flexcore.domain.events import PLUGIN_AGGREGATE, PluginEvent, RecordedEvent


@dataclass(slots=True)
class PluginRow:
    """One plugin. `versions` holds every version that was ever registered, `duration_ms` sums finished executions.

    `cpu_ms` sums those of them whose use was measured, `peak_memory_bytes` is the most that one of them took.

    `total_executions` counts those that started; one whose node died is in no other count until it is given up.
    """

    plugin_id: str
    name: str = ""
    version: str = ""
    type: str = ""
    description: str = ""
    entry_point: str = ""
    capabilities: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    enabled: bool = False
    removed: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    total_executions: int = 0
    successful_executions: int = 0
    failed_executions: int = 0
    duration_ms: float = 0.0
    measured_executions: int = 0
    cpu_ms: float = 0.0
    peak_memory_bytes: int = 0
    last_execution: datetime | None = None
    last_failed: bool = False


class PluginInventory(Protocol):
    """The plugins of the installation with their figures. Raises Unavailable while the database does not answer."""

    async def active(self) -> list[PluginRow]:
        """Plugins that are registered and enabled, ordered by id."""
        ...

    async def statistics(self, plugin_ids: Iterable[str]) -> Mapping[str, ExecutionStatistics]:
        """Count and time the executions of each of `plugin_ids`, with every one that ended before the question."""
        ...


def statistics_of(row: PluginRow) -> ExecutionStatistics:
    """Give the figures of one plugin's executions."""
    finished = row.successful_executions + row.failed_executions
    return ExecutionStatistics(
        total=row.total_executions,
        successful=row.successful_executions,
        failed=row.failed_executions,
        average_duration_ms=round(row.duration_ms / finished, 3) if finished else None,
        average_cpu_ms=round(row.cpu_ms / row.measured_executions, 3) if row.measured_executions else None,
        peak_memory_bytes=row.peak_memory_bytes or None,
        last_execution=row.last_execution,
        last_failed=row.last_failed,
    )


class PluginInventoryProjection:
    """Folds lifecycle and executions of each plugin."""

    name = "plugin_inventory"
    version = 2
    row = PluginRow
    aggregate_types = (PLUGIN_AGGREGATE,)
    event_types = frozenset(event.value for event in PluginEvent if event is not PluginEvent.EXECUTION_QUEUED)

    def key(self, event: RecordedEvent) -> str | None:
        """Return the plugin's id."""
        if event.type in self.event_types and event.aggregate_type == PLUGIN_AGGREGATE:
            return event.aggregate_id
        return None

    def apply(self, row: PluginRow | None, event: RecordedEvent) -> PluginRow:
        """Return the plugin after `event`."""
        row = row or PluginRow(event.aggregate_id)
        match event.type:
            case PluginEvent.EXECUTION_STARTED:
                # A later attempt is the same execution again.
                row.total_executions += (whole_number(event.data.get("attempt")) or 1) == 1
                row.last_execution = event.timestamp
            case PluginEvent.EXECUTION_COMPLETED:
                _finish(row, event, successful=event.data.get("success") is True)
            case PluginEvent.EXECUTION_FAILED:
                _finish(row, event, successful=False)
            case _:
                _live(row, event)
        return row


def _finish(row: PluginRow, event: RecordedEvent, *, successful: bool) -> None:
    if event.data.get("attempt") == 0:
        # Ended before it ever started, so it says nothing about the plugin.
        return
    row.successful_executions += successful
    row.failed_executions += not successful
    row.duration_ms += number(event.data.get("execution_time_ms")) or 0.0
    row.last_failed = not successful
    if (cpu_ms := number(event.data.get("cpu_ms"))) is not None:
        row.measured_executions += 1
        row.cpu_ms += cpu_ms
    row.peak_memory_bytes = max(row.peak_memory_bytes, count(event.data.get("peak_memory_bytes")) or 0)


def _live(row: PluginRow, event: RecordedEvent) -> None:
    match event.type:
        case PluginEvent.REGISTERED | PluginEvent.UPGRADED:
            _take(row, event)
        case PluginEvent.ENABLED:
            row.enabled = True
        case PluginEvent.DISABLED:
            row.enabled = False
        case PluginEvent.REMOVED:
            row.removed, row.enabled = True, False
    row.updated_at = event.timestamp


def _take(row: PluginRow, event: RecordedEvent) -> None:
    if row.removed or not row.versions:
        row.created_at = event.timestamp
        row.enabled, row.removed = True, False
    data = event.data
    row.name = text(data.get("name")) or ""
    row.version = text(data.get("version")) or ""
    row.type = text(data.get("type")) or ""
    row.description = text(data.get("description")) or ""
    row.entry_point = text(data.get("entry_point")) or ""
    row.capabilities = _texts(data.get("capabilities"))
    row.dependencies = _texts(data.get("dependencies"))
    if row.version not in row.versions:
        row.versions = (*row.versions, row.version)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()
