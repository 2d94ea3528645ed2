"""Running plugins on this node: slots, drain, cancellation, and the events that every execution leaves."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flexcore.application.events import Events
from flexcore.application.execution_ends import End, ExecutionEnds, Times
from flexcore.application.execution_results import KeptResults
from flexcore.application.plugin_views import Execution
from flexcore.application.ports import Clock, PluginRequest, PluginResult, PluginRunner, Receipt
from flexcore.application.read_models.execution_history import ExecutionStatus
from flexcore.domain.errors import (
    ExecutionCancelled,
    ExecutionTimedOut,
    FlexCoreError,
    PluginFailed,
    TooBusy,
    Unavailable,
)
from flexcore.domain.execution import ExecutionRecord, FailureReason

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
    """Running executions of this node, at most `slots` at once. Nothing waits in line: without a slot it is TooBusy.

    While `held` gives a reason, such as an operator's drain, nothing new is taken.
    """

    def __init__(
        self,
        *,
        events: Events,
        ends: ExecutionEnds,
        results: KeptResults,
        runner: PluginRunner,
        clock: Clock,
        node_id: str,
        slots: int,
        held: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._events = events
        self._ends = ends
        self._results = results
        self._runner = runner
        self._clock = clock
        self._node_id = node_id
        self._slots = slots
        self._held = held
        self._active = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._plugins: dict[str, asyncio.Task[PluginResult]] = {}
        self._late_ends: set[asyncio.Task[End]] = set()

    @property
    def active(self) -> int:
        """How many executions run now."""
        return self._active

    @property
    def slots(self) -> int:
        """How many executions run at most at once."""
        return self._slots

    @property
    def free(self) -> int:
        """How many more executions this node would take now; none while it drains."""
        return 0 if self.draining else self._slots - self._active

    @property
    def draining(self) -> bool:
        """Whether new executions are refused."""
        return self._draining or self._held() is not None

    @property
    def running(self) -> Collection[str]:
        """The ids of the executions whose plugin runs now."""
        return tuple(self._plugins)

    async def drain(self, deadline_seconds: float) -> bool:
        """Refuse new executions and wait for the running ones; False if some still ran at the deadline."""
        self._draining = True
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def cancel(self, execution_id: str) -> bool:
        """Stop the plugin of an execution, if it runs here."""
        plugin = self._plugins.get(execution_id)
        return plugin is not None and plugin.cancel()

    async def run(self, request: PluginRequest, user_id: str | None, beginning: Beginning = Beginning()) -> Execution:
        """Run `request` to its end between its two events.

        Raises TooBusy, Unavailable (draining, or the event log does not answer), PluginFailed, ExecutionTimedOut,
        ExecutionCancelled, BegunBefore; Conflict if it was given up elsewhere meanwhile.
        """
        with self.slot():
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
        """Run a plugin so that `cancel` reaches it; raises PluginFailed, ExecutionTimedOut, ExecutionCancelled."""
        plugin = asyncio.ensure_future(self._runner.run(request))
        self._plugins[request.execution_id] = plugin
        try:
            await asyncio.wait({plugin})
        except asyncio.CancelledError:
            plugin.cancel()
            await asyncio.wait({plugin})
            raise
        finally:
            del self._plugins[request.execution_id]
        if plugin.cancelled():
            raise ExecutionCancelled(
                f"execution {request.execution_id} of plugin '{request.plugin_id}' was cancelled", request.execution_id
            )
        return plugin.result()

    def check_open(self) -> None:
        """Raise Unavailable while this node takes no new executions."""
        if self._draining:
            raise Unavailable("flexcore", f"node {self._node_id} is draining and takes no new executions; use another")
        if (reason := self._held()) is not None:
            raise Unavailable("flexcore", f"{reason}; use another node")

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of this node's slots; raises TooBusy, or Unavailable while the node drains."""
        self.check_open()
        if self._active >= self._slots:
            raise TooBusy(f"all {self._slots} execution slots of node {self._node_id} are taken; try again shortly")
        self._active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active -= 1
            if self._active == 0:
                self._idle.set()

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
        except (ExecutionTimedOut, ExecutionCancelled, PluginFailed) as error:
            failed = functools.partial(self._ends.failed, record, _REASONS[type(error)], str(error), lasted.end())
            await self._end(failed, record, outcome=str(error), insist=beginning.queued)
            raise
        completed = functools.partial(self._complete, record, result, lasted.end(), keep=beginning.keep_result)
        outcome = f"plugin '{request.plugin_id}' ran to its end"
        end = await self._end(completed, record, outcome=outcome, insist=beginning.queued)
        if end.status is not ExecutionStatus.COMPLETED:
            raise end.failure()
        return end.execution(request.plugin_id, result, caller)

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


_REASONS: Final[Mapping[type[FlexCoreError], FailureReason]] = {
    ExecutionTimedOut: FailureReason.TIMED_OUT,
    ExecutionCancelled: FailureReason.CANCELLED,
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

    def end(self) -> Times:
        """Return the times of an execution that ends now."""
        elapsed_ms = round((time.perf_counter() - self._start) * 1000, 3)
        # From the monotonic duration: a clock set back meanwhile can't make an execution end before it began.
        return Times(elapsed_ms, self._started_at, self._started_at + timedelta(milliseconds=elapsed_ms))
