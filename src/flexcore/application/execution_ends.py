"""The end of an execution, which is recorded exactly once, whoever comes to record one.

A node that was only slow, the one that took over from it, somebody who cancels, the sweep that gives up what nobody
ends: each appends its end under one receipt, and the event log keeps the first.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from flexcore.application.events import Events
from flexcore.application.plugin_views import Execution
from flexcore.application.ports import Job, PluginAnswer, Receipt, Receipts
from flexcore.application.read_models.execution_history import ExecutionStatus
from flexcore.domain.errors import (
    Conflict,
    ExecutionCancelled,
    ExecutionKilled,
    ExecutionTimedOut,
    FlexCoreError,
    PluginFailed,
)
from flexcore.domain.events import NewEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.domain.usage import NOT_MEASURED, ExecutionUsage

_STATUS: Final = {
    FailureReason.PLUGIN_FAILED: ExecutionStatus.FAILED,
    FailureReason.REFUSED: ExecutionStatus.FAILED,
    FailureReason.TIMED_OUT: ExecutionStatus.TIMED_OUT,
    FailureReason.CANCELLED: ExecutionStatus.CANCELLED,
    FailureReason.KILLED: ExecutionStatus.KILLED,
    FailureReason.NODE_LOST: ExecutionStatus.NODE_LOST,
}

_logger = logging.getLogger("flexcore.executions")


@dataclass(frozen=True, slots=True)
class Times:
    """When an attempt ran, by the clock of its node, how long, and what it used."""

    execution_time_ms: float
    started_at: datetime
    completed_at: datetime
    usage: ExecutionUsage = NOT_MEASURED


@dataclass(frozen=True, slots=True)
class End:
    """How an execution ended, and in which attempt; `times` is None if the one that ended it did not run it."""

    execution_id: str
    status: ExecutionStatus
    attempt: int
    success: bool | None = None
    error: str | None = None
    times: Times | None = None

    def execution(self, plugin_id: str, answer: PluginAnswer, metadata: Mapping[str, Any]) -> Execution:
        """Return what the caller of a completed execution gets."""
        if self.times is None:
            raise ValueError(f"execution {self.execution_id} ended as {self.status}, without an answer")
        return Execution(
            execution_id=self.execution_id,
            plugin_id=plugin_id,
            result=answer,
            execution_time_ms=self.times.execution_time_ms,
            started_at=self.times.started_at,
            completed_at=self.times.completed_at,
            metadata=metadata,
        )

    def failure(self) -> FlexCoreError:
        """Return the failure that a caller is to be told of an execution without an answer."""
        text = self.error or f"execution {self.execution_id} ended as {self.status}"
        match self.status:
            case ExecutionStatus.TIMED_OUT:
                return ExecutionTimedOut(text, self.execution_id)
            case ExecutionStatus.CANCELLED:
                return ExecutionCancelled(text, self.execution_id)
            case ExecutionStatus.KILLED:
                return ExecutionKilled(text, self.execution_id)
            case ExecutionStatus.NODE_LOST:
                return Conflict(f"{text}; whether it took effect is unknown, a new request runs it anew")
            case _:
                return PluginFailed(text, self.execution_id)


@dataclass(frozen=True, slots=True)
class Alongside:
    """What is recorded with an end, in one append; not at all if the execution has ended otherwise before."""

    events: Sequence[NewEvent] = ()
    jobs: Sequence[Job] = ()


class ExecutionEnds:
    """Records the ends of executions, and tells of them."""

    def __init__(self, events: Events, receipts: Receipts) -> None:
        self._events = events
        self._receipts = receipts

    async def find(self, execution_id: str) -> End | None:
        """Return the execution's end, None before it; raises Unavailable."""
        receipt = await self._receipts.find(_key(execution_id))
        return None if receipt is None else msgspec.convert(receipt.answer, End)

    async def completed(
        self, record: ExecutionRecord, times: Times, *, success: bool, also: "Alongside | None" = None
    ) -> End:
        """Record that the plugin answered, and return the end that counts; raises Unavailable."""
        event = record.completed(success=success, execution_time_ms=times.execution_time_ms, usage=times.usage)
        end = End(record.execution_id, ExecutionStatus.COMPLETED, record.attempt, success, None, times)
        return await self._record(event, end, also or Alongside())

    async def failed(
        self,
        record: ExecutionRecord,
        reason: FailureReason,
        error: str,
        times: Times | None = None,
        *,
        also: "Alongside | None" = None,
    ) -> End:
        """Record that there will be no answer, and return the end that counts; raises Unavailable."""
        if times is None:
            event = record.failed(reason, error, 0.0)
        else:
            event = record.failed(reason, error, times.execution_time_ms, times.usage)
        end = End(record.execution_id, _STATUS[reason], record.attempt, None, error, times)
        return await self._record(event, end, also or Alongside())

    async def _record(self, event: NewEvent, end: End, also: "Alongside") -> End:
        key = _key(end.execution_id)
        receipt = Receipt(key, fingerprint(key), msgspec.to_builtins(end))
        appended = await self._events.append([event, *also.events], jobs=also.jobs, receipt=receipt)
        if not appended.repeated:
            return end
        kept = msgspec.convert(appended.answer, End)
        if kept != end:
            _logger.warning(
                "execution %s had ended as %s in attempt %d already; its end as %s in attempt %d is not recorded",
                *(end.execution_id, kept.status, kept.attempt, end.status, end.attempt),
            )
        return kept


def fingerprint(*parts: str) -> str:
    """Tell requests apart: the SHA-256 of their parts, in hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _key(execution_id: str) -> str:
    return f"execution-end:{execution_id}"
