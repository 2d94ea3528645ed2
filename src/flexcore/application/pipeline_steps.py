"""Makes the attempts of pipelines' steps, as jobs ask for them.

An attempt begins and ends in two streams, the plugin's and the pipeline's, with one append each. Whatever dies in
between, both streams tell the same story; and since what a step's end sets free is queued by the same append, no step
is forgotten.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.events import Events
from flexcore.application.execution_ends import Alongside, ExecutionEnds, Times
from flexcore.application.execution_results import KeptResults
from flexcore.application.executions import Duration, Executions
from flexcore.application.jobs import Tasks
from flexcore.application.pipeline_streams import PipelineStreams
from flexcore.application.pipelines import DECISION_ATTEMPTS, RUN_STEP, step_jobs, unsettled
from flexcore.application.plugin_views import ExecutePlugin
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Clock, Job, LiveChannel, PluginRequest, PluginResult
from flexcore.domain import execution
from flexcore.domain.errors import (
    Conflict,
    ExecutionCancelled,
    ExecutionFailure,
    ExecutionKilled,
    ExecutionTimedOut,
    FlexCoreError,
    InvalidInput,
    NotFound,
    PluginFailed,
    TooBusy,
    Unavailable,
    VersionConflict,
)
from flexcore.domain.execution import ExecutionRecord
from flexcore.domain.pipeline import Attempt, Decision, Delivery, Failure, FailureReason, Pipeline
from flexcore.domain.pipeline_definition import StepDefinition
from flexcore.domain.pipeline_run import Run, StepStatus
from flexcore.domain.step_parameters import NotResolvedError, Reference, references, resolve

RUN_ENDED: Final = "pipeline_run_ended"
"""Kind of the live messages that tell of a run that was ended before its time."""

# How soon at the latest a node sees that a run was ended elsewhere; a live message makes it see so at once.
LOOK_SECONDS: Final = 2.0
# How long a node that has a step's end in its hands waits for the event log to take it.
RECORD_SECONDS: Final = 60.0
RECORD_PAUSE_SECONDS: Final = 0.5

_FAILURES: Final = {
    PluginFailed: FailureReason.PLUGIN_FAILED,
    ExecutionTimedOut: FailureReason.TIMED_OUT,
    ExecutionCancelled: FailureReason.CANCELLED,
    ExecutionKilled: FailureReason.KILLED,
}

_logger = logging.getLogger("flexcore.pipelines")


class PipelineSteps:
    """The steps that this node runs."""

    def __init__(
        self,
        *,
        events: Events,
        ends: ExecutionEnds,
        streams: PipelineStreams,
        plugins: Plugins,
        executions: Executions,
        results: KeptResults,
        clock: Clock,
        node_id: str,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._events = events
        self._ends = ends
        self._streams = streams
        self._plugins = plugins
        self._executions = executions
        self._results = results
        self._clock = clock
        self._node_id = node_id
        self._draw = draw
        self._wakers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def register(self, tasks: Tasks, channel: LiveChannel) -> None:
        """Take the jobs of steps, and hear of runs that are over."""
        tasks.register(RUN_STEP, self.run)
        channel.subscribe(RUN_ENDED, lambda message: self.look(str(message.get("execution_id"))))

    def look(self, execution_id: str) -> None:
        """See at once whether the run `execution_id` is over, and stop its steps here if so."""
        for waker in self._wakers.get(execution_id, ()):
            waker.set()

    async def run(self, arguments: Mapping[str, Any]) -> None:
        """Make the attempt that a job asks for; raises TooBusy, Unavailable if it can't be made here now.

        An attempt that began before and has no end is one whose node is gone: it fails, and its policy says what
        comes next.
        """
        pipeline_id = arguments["pipeline_id"]
        attempt = Attempt(arguments["execution_id"], arguments["step_id"], arguments["attempt"])
        pipeline = await self._streams.read(pipeline_id)
        delivery, step, run = pipeline.delivery(attempt), pipeline.step(attempt.step_id), pipeline.run
        if delivery is Delivery.STALE or step is None or run is None:
            _logger.info("attempt %d of step '%s' comes too late", attempt.number, attempt.step_id)
            return
        work = _Work(pipeline_id, attempt, step, self._metadata(run))
        CORRELATION_ID.set(work.metadata["correlation_id"])
        try:
            if delivery is Delivery.BEGUN:
                await self._take_over(work, run)
            else:
                await self._attempt(work, run)
        except FlexCoreError:
            raise
        except Exception:
            # A job that ends so is not tried again, and the run would wait for this step for ever.
            _logger.exception("step '%s' of pipeline %s failed unexpectedly", step.id, pipeline_id)
            error = "FlexCore failed in a way it did not expect; its log has the cause"
            await self._end(work, _Ending(Failure(FailureReason.REFUSED, error, final=True)))

    async def _attempt(self, work: "_Work", run: Run) -> None:
        try:
            request = await self._request(work, run)
        except (NotResolvedError, InvalidInput, NotFound) as error:
            await self._end(work, _Ending(Failure(FailureReason.REFUSED, str(error), final=True)))
        except Conflict as error:
            # Not active, or without its code or its secret here: all of that can change.
            await self._end(work, _Ending(Failure(FailureReason.REFUSED, str(error))))
        else:
            async with self._executions.admission.slot(wait=False):
                await self._make(work, request)

    async def _request(self, work: "_Work", run: Run) -> PluginRequest:
        step, parameters = work.step, run.parameters
        results = await self._handed_on(step, run)
        request = await self._plugins.prepare(
            ExecutePlugin(
                plugin_id=step.plugin,
                operation=step.operation,
                data=resolve(step.parameters, parameters, results),
                correlation_id=work.metadata["correlation_id"],
                user_id=work.metadata["user_id"],
                timeout_seconds=step.timeout_seconds,
            )
        )
        self._executions.check(request.code)
        return request

    async def _handed_on(self, step: StepDefinition, run: Run) -> dict[str, Any]:
        """Read the results that a step refers to, by the steps they are of; raises NotResolvedError."""
        found = (reference for _, reference in references(step.parameters))
        wanted = {reference.step for reference in found if isinstance(reference, Reference) and reference.step}
        results = {}
        for step_id in sorted(wanted):
            state = run.steps[step_id]
            if state.status is StepStatus.COMPLETED and state.plugin_execution_id is not None:
                kept = await self._results.find(state.plugin_execution_id, 1)
                if kept is not None and not kept.kept:
                    raise NotResolvedError(f"the {kept.size} bytes of step '{step_id}' are too many to be handed on")
                if kept is not None:
                    results[step_id] = kept.data
        return results

    async def _make(self, work: "_Work", request: PluginRequest) -> None:
        record = work.record(request.execution_id)
        if not await self._begin(work, record):
            return
        lasted = Duration(self._clock())
        try:
            result = await self._run_while_wanted(work, request)
        except ExecutionFailure as error:
            reason, times = _FAILURES[type(error)], lasted.end(error.usage)
            final = reason is FailureReason.CANCELLED
            failure = Failure(reason, str(error), times.execution_time_ms, final=final)
            await self._end(work, _Ending(failure, record, times))
            return
        except (Conflict, Unavailable) as error:
            # It was possible a moment ago.
            times = lasted.end()
            failure = Failure(FailureReason.REFUSED, str(error), times.execution_time_ms)
            await self._end(work, _Ending(failure, record, times))
            return
        times = lasted.end() if result is None else lasted.end(result.usage)
        if result is None:
            why = "the run of the pipeline was over before the step was"
            failure = Failure(FailureReason.CANCELLED, why, final=True)
            await self._end(work, _Ending(failure, record, times))
        elif result.success:
            # First, so that whoever begins a step that depends on this one finds it.
            await self._insist(work, lambda: self._results.keep(request.execution_id, record.attempt, result))
            await self._end(work, _Ending(None, record, times))
        else:
            failure = Failure(FailureReason.UNSUCCESSFUL, _complaint(result), times.execution_time_ms)
            await self._end(work, _Ending(failure, record, times))

    async def _begin(self, work: "_Work", record: ExecutionRecord) -> bool:
        """Record that the attempt begins; False if it is not wanted any more."""
        for _ in range(DECISION_ATTEMPTS):
            pipeline = await self._streams.read(work.pipeline_id)
            decision = pipeline.begin_step(work.attempt, record.execution_id, work.metadata)
            if not decision.events:
                return False
            try:
                await self._events.append([*decision.events, record.started(work.step.timeout_seconds)])
            except VersionConflict:
                self._streams.forget(work.pipeline_id)
            else:
                return True
        raise unsettled(work.pipeline_id)

    async def _run_while_wanted(self, work: "_Work", request: PluginRequest) -> PluginResult | None:
        """Run the plugin; None if it was stopped because the attempt is not wanted any more."""
        running = asyncio.create_task(self._executions.run_plugin(request))
        looking = asyncio.create_task(self._until_unwanted(work))
        try:
            await asyncio.wait({running, looking}, return_when=asyncio.FIRST_COMPLETED)
            stopped = not running.done()
            if looking.done():
                looking.result()
        finally:
            # Also when this node stops: the plugin ends with its task, and the attempt is another node's.
            for task in (running, looking):
                task.cancel()
            await asyncio.wait({running, looking})
        return None if stopped else running.result()

    async def _until_unwanted(self, work: "_Work") -> None:
        waker, execution_id = asyncio.Event(), work.attempt.execution_id
        self._wakers[execution_id].add(waker)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await waker.wait()
                waker.clear()
                with contextlib.suppress(Unavailable, TooBusy):
                    pipeline = await self._streams.read(work.pipeline_id)
                    if pipeline.delivery(work.attempt) is Delivery.STALE:
                        return
        finally:
            self._wakers[execution_id].discard(waker)
            if not self._wakers[execution_id]:
                del self._wakers[execution_id]

    async def _take_over(self, work: "_Work", run: Run) -> None:
        state = run.steps[work.attempt.step_id]
        error = f"node {state.node_id} began attempt {work.attempt.number} of step '{work.step.id}' and did not end it"
        _logger.warning("pipeline %s: %s", work.pipeline_id, error)
        record = None if state.plugin_execution_id is None else work.record(state.plugin_execution_id)
        await self._end(work, _Ending(Failure(FailureReason.NODE_LOST, error, at_once=True), record))

    async def _end(self, work: "_Work", ending: "_Ending") -> None:
        """Record how an attempt ended, and how the plugin's execution did."""
        await self._insist(work, lambda: self._record_end(work, ending))

    async def _insist(self, work: "_Work", act: Callable[[], Awaitable[None]]) -> None:
        """Do something as often as it takes while the event log is away, which is not the step's fault."""
        deadline = time.monotonic() + RECORD_SECONDS
        while True:
            try:
                await act()
            except (Unavailable, TooBusy) as error:
                if time.monotonic() > deadline:
                    raise
                _logger.warning("the end of step '%s' can't be recorded yet: %s", work.step.id, error)
                await asyncio.sleep(RECORD_PAUSE_SECONDS)
            else:
                return

    async def _record_end(self, work: "_Work", ending: "_Ending") -> None:
        for _ in range(DECISION_ATTEMPTS):
            pipeline = await self._streams.read(work.pipeline_id)
            decision = ending.decide(pipeline, work, self._draw())
            jobs = step_jobs(work.pipeline_id, decision.queued, self._clock)
            try:
                if ending.record is not None:
                    await self._record_both(ending, decision, jobs)
                elif decision.events:
                    await self._events.append(decision.events, jobs=jobs)
            except VersionConflict:
                self._streams.forget(work.pipeline_id)
                continue
            pipeline = await self._streams.read(work.pipeline_id)
            if pipeline.delivery(work.attempt) is Delivery.STALE:
                return
            # Somebody took this node for dead and ended the plugin's execution alone. Its answer counts no more.
            ending = ending.given_up(self._node_id)
        raise unsettled(work.pipeline_id)

    async def _record_both(self, ending: "_Ending", decision: Decision, jobs: Sequence[Job]) -> None:
        record, failure = ending.record, ending.failure
        if record is None:
            raise ValueError("there is no execution to end")
        also = Alongside(decision.events, jobs)
        if ending.times is not None and (failure is None or failure.reason is FailureReason.UNSUCCESSFUL):
            await self._ends.completed(record, ending.times, success=failure is None, also=also)
        elif failure is not None:
            reason = execution.FailureReason(failure.reason.value)
            await self._ends.failed(record, reason, failure.error, ending.times, also=also)

    def _metadata(self, run: Run) -> dict[str, Any]:
        cause = {name: run.metadata.get(name) for name in ("correlation_id", "user_id")}
        return {**cause, "node_id": self._node_id}


@dataclass(frozen=True, slots=True)
class _Ending:
    """How an attempt ended: with an answer, if there is no `failure`. `record` is that of the plugin's execution."""

    failure: Failure | None
    record: ExecutionRecord | None = None
    times: Times | None = None

    def decide(self, pipeline: Pipeline, work: "_Work", draw: float) -> Decision:
        """Ask the pipeline what follows."""
        if self.failure is not None:
            return pipeline.fail_step(work.attempt, self.failure, draw, work.metadata)
        duration_ms = 0.0 if self.times is None else self.times.execution_time_ms
        return pipeline.complete_step(work.attempt, duration_ms, work.metadata)

    def given_up(self, node_id: str) -> "_Ending":
        """Return what is left to record when the plugin's execution has ended otherwise."""
        lost = Failure(FailureReason.NODE_LOST, f"node {node_id} was given up before it ended the step", at_once=True)
        return _Ending(self.failure or lost)


@dataclass(frozen=True, slots=True)
class _Work:
    """One attempt on this node."""

    pipeline_id: str
    attempt: Attempt
    step: StepDefinition
    metadata: Mapping[str, Any]

    def record(self, plugin_execution_id: str) -> ExecutionRecord:
        """Make what writes the events of the plugin's execution."""
        part_of = {"pipeline_id": self.pipeline_id, "step_id": self.step.id}
        return ExecutionRecord(plugin_execution_id, self.step.plugin, self.step.operation or "", self.metadata, part_of)


def _complaint(result: PluginResult) -> str:
    error = result.data.get("error") if isinstance(result.data, Mapping) else None
    return error if isinstance(error, str) else "the plugin says that the work did not succeed"
