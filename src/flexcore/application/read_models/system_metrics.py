"""SystemMetrics: counters over the whole log, in one row."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from flexcore.application.read_models.facts import number, whole_number
from flexcore.domain.events import PIPELINE_AGGREGATE, PLUGIN_AGGREGATE, PipelineEvent, PluginEvent, RecordedEvent

_SYSTEM: Final = "system"
_PIPELINE_COUNTERS: Final = {
    PipelineEvent.CREATED.value: "pipelines_created",
    PipelineEvent.DELETED.value: "pipelines_deleted",
    PipelineEvent.STARTED.value: "pipeline_runs_started",
    PipelineEvent.COMPLETED.value: "pipeline_runs_completed",
    PipelineEvent.FAILED.value: "pipeline_runs_failed",
    PipelineEvent.CANCELLED.value: "pipeline_runs_cancelled",
    PipelineEvent.STEP_COMPLETED.value: "pipeline_steps_completed",
    PipelineEvent.STEP_FAILED.value: "pipeline_steps_failed",
}


@dataclass(slots=True)
class SystemRow:
    """What the installation has done since its first event. Executions that ended are in exactly one of the counts.

    `executions_completed` counts answers of plugins, of which `executions_unsuccessful` said that they did not
    succeed; `executions_failed` had no answer. `pipeline_steps_failed` counts attempts.
    """

    key: str = _SYSTEM
    plugins_registered: int = 0
    plugins_removed: int = 0
    executions_queued: int = 0
    executions_started: int = 0
    executions_completed: int = 0
    executions_unsuccessful: int = 0
    executions_failed: int = 0
    executions_timed_out: int = 0
    executions_cancelled: int = 0
    executions_killed: int = 0
    executions_lost: int = 0
    execution_ms: float = 0.0
    execution_cpu_ms: float = 0.0
    last_execution: datetime | None = None
    pipelines_created: int = 0
    pipelines_deleted: int = 0
    pipeline_runs_started: int = 0
    pipeline_runs_completed: int = 0
    pipeline_runs_failed: int = 0
    pipeline_runs_cancelled: int = 0
    pipeline_steps_completed: int = 0
    pipeline_steps_failed: int = 0

    def counters(self) -> dict[str, Any]:
        """Return what callers are shown: all but the name of the row; milliseconds to three digits."""
        shown = asdict(self) | {name: round(getattr(self, name), 3) for name in ("execution_ms", "execution_cpu_ms")}
        del shown["key"]
        return shown


class SystemMetrics(Protocol):
    """Counters of the installation. Raises Unavailable while the database does not answer."""

    async def read(self) -> SystemRow:
        """Return them, with every event that was there when the question came."""
        ...


class SystemMetricsProjection:
    """Counts."""

    name = "system_metrics"
    version = 3
    row = SystemRow
    aggregate_types = (PLUGIN_AGGREGATE, PIPELINE_AGGREGATE)
    event_types = frozenset({
        PluginEvent.REGISTERED.value,
        PluginEvent.REMOVED.value,
        PluginEvent.EXECUTION_QUEUED.value,
        PluginEvent.EXECUTION_STARTED.value,
        PluginEvent.EXECUTION_COMPLETED.value,
        PluginEvent.EXECUTION_FAILED.value,
        *_PIPELINE_COUNTERS,
    })  # fmt: skip

    def key(self, event: RecordedEvent) -> str | None:
        """Everything is in one row."""
        return _SYSTEM if event.type in self.event_types and event.aggregate_type in self.aggregate_types else None

    def apply(self, row: SystemRow | None, event: RecordedEvent) -> SystemRow:
        """Return the counters after `event`."""
        row = row or SystemRow()
        match event.type:
            case PluginEvent.REGISTERED:
                row.plugins_registered += 1
            case PluginEvent.REMOVED:
                row.plugins_removed += 1
            case PluginEvent.EXECUTION_QUEUED:
                row.executions_queued += 1
            case PluginEvent.EXECUTION_STARTED:
                row.executions_started += (whole_number(event.data.get("attempt")) or 1) == 1
                row.last_execution = event.timestamp
            case PluginEvent.EXECUTION_COMPLETED:
                row.executions_completed += 1
                row.executions_unsuccessful += event.data.get("success") is not True
                _add_up(row, event)
            case PluginEvent.EXECUTION_FAILED:
                _fail(row, event)
            case _:
                counter = _PIPELINE_COUNTERS[event.type]
                setattr(row, counter, getattr(row, counter) + 1)
        return row


def _fail(row: SystemRow, event: RecordedEvent) -> None:
    match event.data.get("reason"):
        case "timed_out":
            row.executions_timed_out += 1
        case "cancelled":
            row.executions_cancelled += 1
        case "killed":
            row.executions_killed += 1
        case "node_lost":
            row.executions_lost += 1
        case _:
            row.executions_failed += 1
    _add_up(row, event)


def _add_up(row: SystemRow, event: RecordedEvent) -> None:
    row.execution_ms += number(event.data.get("execution_time_ms")) or 0.0
    row.execution_cpu_ms += number(event.data.get("cpu_ms")) or 0.0
