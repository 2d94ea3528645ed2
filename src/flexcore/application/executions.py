"""Running plugins on this node: cancellation, and the events that every execution leaves."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flexcore.application.admission import Admission
from flexcore.application.events import Events
from flexcore.application.execution_ends import End, ExecutionEnds, Times
from flexcore.application.execution_results import KeptResults
from flexcore.application.plugin_views import Execution
from flexcore.application.ports import Clock, PluginCode, PluginRequest, PluginResult, PluginRunner, Receipt
from flexcore.application.read_models.execution_history import ExecutionStatus
from flexcore.domain.errors import (
    Conflict,
    ExecutionCancelled,
    ExecutionFailure,
    ExecutionKilled,
    ExecutionTimedOut,
    FlexCoreError,
    PluginFailed,
    TooBusy,
    Unavailable,
)
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.domain.usage import NOT_MEASURED, ExecutionUsage

# How long a cancelled execution may hold up its caller to record that it was cancelled.
CANCELLED_RECORD_SECONDS = 2.0
RETRY_SECONDS: Final = 0.5

_log = logging.getLogger("flexcore.executions")


class BegunBefore(Exception):  # noqa: N818 - what happened, and no failure
    """The receipt under which an execution was to begin is there already, with this answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__("begun before")
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How an execution begins and is kept.

    `receipt` is taken with its first event, so that only one caller begins it. The answer is kept if `keep_result`. A
    `queued` one that this node has to let go of leaves no end, because another node begins it anew.
    """

    attempt: int = 1
    receipt: Receipt | None = None
    keep_result: bool = False
    queued: bool = False


class Executions:
    """Running executions of this node, each in a slot of `admission`."""

    def __init__(
        self,
        *,
        events: Events,
        ends: ExecutionEnds,
        results: KeptResults,
        runner: PluginRunner,
        clock: Clock,
        node_id: str,
        admission: Admission,
    ) -> None:
        self._events = events
        self._ends = ends
        self._results = results
        self._runner = runner
        self._clock = clock
        self._node_id = node_id
        self.admission = admission
        self._plugins: dict[str, asyncio.Task[PluginResult]] = {}
        self._late_ends: set[asyncio.Task[End]] = set()

    @property
    def running(self) -> Collection[str]:
        """The ids of the executions whose plugin runs now."""
        return tuple(self._plugins)

    def check(self, code: PluginCode) -> None:
        """Raise what keeps this node from running a version now: Conflict (a secret is missing), Unavailable."""
        self._runner.check(code)

    def cancel(self, execution_id: str) -> bool:
        """Stop the plugin of an execution, if it runs here."""
        plugin = self._plugins.get(execution_id)
        return plugin is not None and plugin.cancel()

    async def run(self, request: PluginRequest, user_id: str | None, beginning: Beginning = Beginning()) -> Execution:
        """Run `request` to its end between its two events.

        One that somebody waits for stands in line for a slot; one from the queue stands in line there. Raises TooBusy,
        Unavailable (draining, or the event log or the sandbox does not answer), PluginFailed, ExecutionTimedOut,
        ExecutionCancelled, ExecutionKilled, BegunBefore; Conflict if a secret is missing, or it was given up elsewhere
        meanwhile.
        """
        async with self.admission.slot(wait=not beginning.queued):
            self._runner.check(request.code)
            caller = {"correlation_id": request.correlation_id, "user_id": user_id}
            record = ExecutionRecord(
                request.execution_id,
                request.plugin_id,
                request.operation,
                {**caller, "node_id": self._node_id},
                attempt=beginning.attempt,
            )
            begun = await self._events.append([record.started(request.timeout_seconds)], receipt=beginning.receipt)
            if begun.repeated:
                raise BegunBefore(begun.answer)
            return await self._run(request, record, caller, beginning)

    async def run_plugin(self, request: PluginRequest) -> PluginResult:
        """Run a plugin so that `cancel` reaches it; raises what the runner raises, and ExecutionCancelled."""
        plugin = asyncio.ensure_future(self._runner.run(request))
        self._plugins[request.execution_id] = plugin
        try:
            await asyncio.wait({plugin})
        except asyncio.CancelledError:
            plugin.cancel()
            await asyncio.wait({plugin})
            if not plugin.cancelled():
                plugin.exception()  # that it was cancelled is no news
            raise
        finally:
            del self._plugins[request.execution_id]
        if plugin.cancelled():
            raise ExecutionCancelled(
                f"execution {request.execution_id} of plugin '{request.plugin_id}' was cancelled", request.execution_id
            )
        return plugin.result()

    async def _run(
        self, request: PluginRequest, record: ExecutionRecord, caller: Mapping[str, str | None], beginning: Beginning
    ) -> Execution:
        lasted = Duration(self._clock())
        try:
            result = await self.run_plugin(request)
        except asyncio.CancelledError:
            if not beginning.queued:
                await self._record_abandoned(record, lasted)
            raise
        except ExecutionFailure as error:
            times = lasted.end(error.usage)
            failed = functools.partial(self._ends.failed, record, _REASONS[type(error)], str(error), times)
            await self._end(failed, record, outcome=str(error), insist=beginning.queued)
            raise
        except (Conflict, Unavailable) as error:
            # It was possible a moment ago. One from the queue begins again where it is possible.
            if not (beginning.queued and isinstance(error, Unavailable)):
                refused = functools.partial(self._ends.failed, record, FailureReason.REFUSED, str(error), lasted.end())
                await self._end(refused, record, outcome=str(error), insist=beginning.queued)
            raise
        completed = functools.partial(
            self._complete, record, result, lasted.end(result.usage), keep=beginning.keep_result
        )
        outcome = f"plugin '{request.plugin_id}' ran to its end"
        end = await self._end(completed, record, outcome=outcome, insist=beginning.queued)
        if end.status is not ExecutionStatus.COMPLETED:
            raise end.failure()
        return end.execution(request.plugin_id, result.answer, caller)

    async def _complete(self, record: ExecutionRecord, result: PluginResult, times: Times, *, keep: bool) -> End:
        if keep:
            # First, so that whoever sees the end finds the answer.
            await self._results.keep(record.execution_id, record.attempt, result)
        return await self._ends.completed(record, times, success=result.success)

    async def _end(
        self, ending: Callable[[], Awaitable[End]], record: ExecutionRecord, *, outcome: str, insist: bool
    ) -> End:
        """Record an end. While the log does not take it, a caller is told so, and trying goes on without him."""
        if insist:
            return await _insist(ending)
        try:
            return await ending()
        except (Unavailable, TooBusy) as error:
            later = asyncio.create_task(_insist(ending), name=f"late end of {record.execution_id}")
            self._late_ends.add(later)
            later.add_done_callback(self._late_ends.discard)
            raise Unavailable(
                error.service if isinstance(error, Unavailable) else "event_store",
                f"{outcome}, but the end of execution {record.execution_id} could not be recorded yet: {error}",
                error.retry_after_seconds,
            ) from error

    async def _record_abandoned(self, record: ExecutionRecord, lasted: "Duration") -> None:
        try:
            async with asyncio.timeout(CANCELLED_RECORD_SECONDS):
                await self._ends.failed(record, FailureReason.CANCELLED, "the caller went away", lasted.end())
        except (FlexCoreError, TimeoutError) as error:
            # Nobody is left to tell; the log is where an operator looks for an execution without an end.
            _log.error(
                "the cancelled execution %s could not be recorded: %s", record.execution_id, error or "timed out"
            )


_REASONS: Final[Mapping[type[ExecutionFailure], FailureReason]] = {
    ExecutionTimedOut: FailureReason.TIMED_OUT,
    ExecutionCancelled: FailureReason.CANCELLED,
    ExecutionKilled: FailureReason.KILLED,
    PluginFailed: FailureReason.PLUGIN_FAILED,
}


async def _insist(ending: Callable[[], Awaitable[End]]) -> End:
    while True:
        try:
            return await ending()
        except (Unavailable, TooBusy):
            await asyncio.sleep(RETRY_SECONDS)


class Duration:
    """How long an execution takes, from now on."""

    def __init__(self, started_at: datetime) -> None:
        self._started_at = started_at
        self._start = time.perf_counter()

    def end(self, usage: ExecutionUsage = NOT_MEASURED) -> Times:
        """Return the times of an execution that ends now."""
        elapsed_ms = round((time.perf_counter() - self._start) * 1000, 3)
        # From the monotonic duration: a clock set back meanwhile can't make an execution end before it began.
        return Times(elapsed_ms, self._started_at, self._started_at + timedelta(milliseconds=elapsed_ms), usage)
