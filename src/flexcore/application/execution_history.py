"""The executions of all nodes: list them, look at one with its answer, cancel one."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from flexcore.application.cancellation import Cancellation
from flexcore.application.execution_ends import End, ExecutionEnds
from flexcore.application.execution_results import KeptResults
from flexcore.application.ports import PluginAnswer
from flexcore.application.read_models.execution_history import (
    UNFINISHED,
    ExecutionHistory,
    ExecutionQuery,
    ExecutionRow,
    ExecutionStatus,
)
from flexcore.domain.errors import Conflict, NotFound
from flexcore.domain.execution import ExecutionRecord, FailureReason

# How long a caller who cancels waits to hear that it is done. Killing a plugin takes no time; finding its node may.
CANCEL_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.1
# Whatever else a caller writes into the path, such as the character NUL, is no id, and no matter for the database.
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")

NOT_KEPT: Final = (
    "not kept: only the answers of asynchronous executions and of requests with an Idempotency-Key are, for some days"
)


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """One execution. `success` is the plugin's own verdict, null without an answer; `attempt` is 0 before it began."""

    execution_id: str
    plugin_id: str
    operation: str
    status: ExecutionStatus
    success: bool | None
    node_id: str | None
    attempt: int
    user_id: str | None
    correlation_id: str | None
    pipeline_id: str | None
    step_id: str | None
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    deadline: datetime | None
    execution_time_ms: float | None
    cpu_ms: float | None
    peak_memory_bytes: int | None
    error: str | None

    @classmethod
    def of(cls, row: ExecutionRow, **more: Any) -> Self:
        """Show a row of the read model."""
        return cls(
            execution_id=row.execution_id,
            plugin_id=row.plugin_id,
            operation=row.operation,
            status=ExecutionStatus(row.status),
            success=row.success,
            node_id=row.node_id,
            attempt=row.attempt,
            user_id=row.user_id,
            correlation_id=row.correlation_id,
            pipeline_id=row.pipeline_id,
            step_id=row.step_id,
            queued_at=row.queued_at,
            started_at=row.started_at,
            completed_at=row.completed_at,
            deadline=row.deadline,
            execution_time_ms=row.duration_ms,
            cpu_ms=row.cpu_ms,
            peak_memory_bytes=row.peak_memory_bytes,
            error=row.error,
            **more,
        )


@dataclass(frozen=True, slots=True)
class ExecutionDetails(ExecutionView):
    """One execution with the plugin's answer; `result_note` says why there is none although the plugin gave one."""

    result: PluginAnswer | None
    result_note: str | None


@dataclass(frozen=True, slots=True)
class ExecutionsPage:
    """Part of the history, newest first. `next_cursor` continues with older ones, null after the oldest."""

    executions: tuple[ExecutionView, ...]
    next_cursor: str | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class CancelledExecution:
    """What became of the wish to cancel; `cancelling` if the node that runs it has not confirmed the end yet."""

    execution_id: str
    status: str


class ExecutionDesk:
    """Answers about executions, wherever they run."""

    def __init__(
        self,
        *,
        history: ExecutionHistory,
        ends: ExecutionEnds,
        results: KeptResults,
        cancellation: Cancellation,
        node_id: str,
    ) -> None:
        self._history = history
        self._ends = ends
        self._results = results
        self._cancellation = cancellation
        self._node_id = node_id

    async def page(self, query: ExecutionQuery) -> ExecutionsPage:
        """Read one page, newest first; raises InvalidInput, Unavailable."""
        page = await self._history.page(query)
        return ExecutionsPage(tuple(ExecutionView.of(row) for row in page.executions), page.next_cursor, page.has_more)

    async def get(self, execution_id: str) -> ExecutionDetails:
        """Read one execution; raises NotFound, Unavailable."""
        row = await self._find(execution_id)
        result, note = await self._result(row) if row.status == ExecutionStatus.COMPLETED else (None, None)
        return ExecutionDetails.of(row, result=result, result_note=note)

    async def cancel(self, execution_id: str) -> CancelledExecution:
        """End an execution that is queued or running, on any node.

        Raises NotFound, Conflict if it has ended already, or ends otherwise meanwhile, and Unavailable.
        """
        row = await self._find(execution_id)
        if row.status not in UNFINISHED:
            raise _ended(execution_id, ExecutionStatus(row.status))
        await self._cancellation.request(execution_id)
        end: End | None
        if row.status == ExecutionStatus.QUEUED:
            # A node that begins it in this moment finds the end, or the wish.
            end = await self._ends.failed(
                _record(row, self._node_id), FailureReason.CANCELLED, "cancelled before it began"
            )
        else:
            end = await self._wait_for_end(execution_id)
        if end is None:
            return CancelledExecution(execution_id, "cancelling")
        if end.status is not ExecutionStatus.CANCELLED:
            raise _ended(execution_id, end.status)
        return CancelledExecution(execution_id, ExecutionStatus.CANCELLED.value)

    async def _find(self, execution_id: str) -> ExecutionRow:
        row = await self._history.get(execution_id) if _ID.fullmatch(execution_id) else None
        if row is None:
            raise NotFound(
                f"there is no execution '{execution_id}'; GET /api/v1/flexcore/executions lists those there are"
            )
        return row

    async def _wait_for_end(self, execution_id: str) -> End | None:
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                while (end := await self._ends.find(execution_id)) is None:  # noqa: ASYNC110 - it is in the database
                    await asyncio.sleep(LOOK_SECONDS)
                return end
        except TimeoutError:
            return None

    async def _result(self, row: ExecutionRow) -> tuple[PluginAnswer | None, str | None]:
        end = await self._ends.find(row.execution_id)
        kept = None if end is None else await self._results.find(row.execution_id, end.attempt)
        if kept is None:
            return None, NOT_KEPT
        if not kept.kept:
            return None, f"not kept: its {kept.size} bytes are more than executions.max_kept_result_bytes"
        return PluginAnswer(success=bool(row.success), data=kept.data), None


def _ended(execution_id: str, status: ExecutionStatus) -> Conflict:
    return Conflict(f"execution {execution_id} has ended already, as {status}; there is nothing to cancel")


def _record(row: ExecutionRow, node_id: str) -> ExecutionRecord:
    metadata = {"correlation_id": row.correlation_id, "user_id": row.user_id, "node_id": node_id}
    return ExecutionRecord(row.execution_id, row.plugin_id, row.operation, metadata, attempt=0)
