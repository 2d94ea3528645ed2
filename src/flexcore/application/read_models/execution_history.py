"""ExecutionHistory: every execution of a plugin, from its first event to its end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from flexcore.application.read_models.facts import count, number, text, whole_number
from flexcore.domain.events import PLUGIN_AGGREGATE, PluginEvent, RecordedEvent

MAX_PAGE: Final = 200


class ExecutionStatus(StrEnum):
    """Where an execution stands. `completed` means that the plugin answered, whatever its own verdict was.

    `killed` is one that wanted more than it may have, such as memory.
    """

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    KILLED = "killed"
    NODE_LOST = "node_lost"


UNFINISHED: Final = frozenset({ExecutionStatus.QUEUED, ExecutionStatus.RUNNING})

_ENDS: Final = {
    "timed_out": ExecutionStatus.TIMED_OUT,
    "cancelled": ExecutionStatus.CANCELLED,
    "killed": ExecutionStatus.KILLED,
    "node_lost": ExecutionStatus.NODE_LOST,
}


@dataclass(slots=True)
class ExecutionRow:
    """One execution. `position` is that of its first event: the newest execution has the highest.

    `success` is the plugin's own verdict and None without an answer; `attempt` counts starts, 0 before the first;
    `deadline` is when the running attempt has to be over.
    """

    execution_id: str
    position: int
    plugin_id: str
    operation: str
    status: str = ExecutionStatus.QUEUED.value
    success: bool | None = None
    node_id: str | None = None
    attempt: int = 0
    user_id: str | None = None
    correlation_id: str | None = None
    pipeline_id: str | None = None
    step_id: str | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    deadline: datetime | None = None
    duration_ms: float | None = None
    cpu_ms: float | None = None
    peak_memory_bytes: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionQuery:
    """Which executions to read, newest first."""

    plugin_id: str | None = None
    status: ExecutionStatus | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """Part of the history. `next_cursor` continues with older executions and is None after the oldest."""

    executions: tuple[ExecutionRow, ...]
    next_cursor: str | None
    has_more: bool


class ExecutionHistory(Protocol):
    """Executions of all nodes, including every one that ended before the question came.

    Raises Unavailable while the database does not answer.
    """

    async def page(self, query: ExecutionQuery) -> ExecutionPage:
        """Read one page; raises InvalidInput for a limit beyond MAX_PAGE or an unknown cursor."""
        ...

    async def get(self, execution_id: str) -> ExecutionRow | None:
        """Read one execution."""
        ...

    async def overdue(self, at: datetime, limit: int = 100) -> list[ExecutionRow]:
        """Return executions that still run after their deadline, oldest first."""
        ...


class ExecutionHistoryProjection:
    """Folds the executions' events. One that has ended stays as it ended, whatever a late attempt still records."""

    name = "execution_history"
    version = 2
    row = ExecutionRow
    aggregate_types = (PLUGIN_AGGREGATE,)
    event_types = frozenset({
        PluginEvent.EXECUTION_QUEUED.value,
        PluginEvent.EXECUTION_STARTED.value,
        PluginEvent.EXECUTION_COMPLETED.value,
        PluginEvent.EXECUTION_FAILED.value,
    })  # fmt: skip

    def key(self, event: RecordedEvent) -> str | None:
        """Return the execution's id."""
        if event.type not in self.event_types or event.aggregate_type != PLUGIN_AGGREGATE:
            return None
        return text(event.data.get("execution_id"))

    def apply(self, row: ExecutionRow | None, event: RecordedEvent) -> ExecutionRow:
        """Return the execution after `event`."""
        if row is None:
            row = _first_seen(event)
        elif row.completed_at is not None:
            return row
        match event.type:
            case PluginEvent.EXECUTION_QUEUED:
                row.queued_at = event.timestamp
            case PluginEvent.EXECUTION_STARTED:
                _start(row, event)
            case PluginEvent.EXECUTION_COMPLETED:
                row.success = event.data.get("success") is True
                _end(row, event, ExecutionStatus.COMPLETED)
            case PluginEvent.EXECUTION_FAILED:
                row.error = text(event.data.get("error"))
                reason = event.data.get("reason")
                _end(row, event, _ENDS.get(reason, ExecutionStatus.FAILED) if isinstance(reason, str) else None)
        return row


def _first_seen(event: RecordedEvent) -> ExecutionRow:
    data, metadata = event.data, event.metadata
    return ExecutionRow(
        execution_id=data["execution_id"],
        position=event.position,
        plugin_id=event.aggregate_id,
        operation=text(data.get("operation")) or "",
        node_id=text(metadata.get("node_id")),
        user_id=text(metadata.get("user_id")),
        correlation_id=text(metadata.get("correlation_id")),
        pipeline_id=text(data.get("pipeline_id")),
        step_id=text(data.get("step_id")),
    )


def _start(row: ExecutionRow, event: RecordedEvent) -> None:
    row.status = ExecutionStatus.RUNNING.value
    row.attempt = whole_number(event.data.get("attempt")) or row.attempt + 1
    row.node_id = text(event.metadata.get("node_id")) or row.node_id
    row.started_at = event.timestamp
    seconds = number(event.data.get("timeout_seconds"))
    # Within what a timestamp can hold; a real limit is minutes.
    row.deadline = event.timestamp + timedelta(seconds=seconds) if seconds is not None and seconds < 1e8 else None


def _end(row: ExecutionRow, event: RecordedEvent, status: ExecutionStatus | None) -> None:
    row.status = (status or ExecutionStatus.FAILED).value
    row.completed_at = event.timestamp
    row.duration_ms = number(event.data.get("execution_time_ms"))
    row.cpu_ms = number(event.data.get("cpu_ms"))
    row.peak_memory_bytes = count(event.data.get("peak_memory_bytes"))
    row.node_id = text(event.metadata.get("node_id")) or row.node_id
