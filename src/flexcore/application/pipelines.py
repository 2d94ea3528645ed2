"""The pipelines' use cases: create, activate, start, cancel, delete, look at."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from flexcore.application.command_bus import CommandBus, CommandLog, Outcome, Request
from flexcore.application.commands import (
    ActivatePipeline,
    CancelPipeline,
    CreatePipeline,
    DeletePipeline,
    StartPipeline,
)
from flexcore.application.paging import check_page
from flexcore.application.pipeline_list import PipelineList
from flexcore.application.pipeline_streams import PipelineStreams
from flexcore.application.pipeline_views import PipelinePage, PipelineStarted, PipelineStatusView, PipelineView
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Clock, Job, NewId
from flexcore.domain.errors import Unavailable, VersionConflict
from flexcore.domain.pipeline import Decision, Pipeline, PipelineStatus, QueuedAttempt

RUN_STEP: Final = "run_step"
"""The task of the jobs that make attempts."""
# Steps that end at the same time get in each other's way, each but one for another round.
DECISION_ATTEMPTS: Final = 100


class Pipelines:
    """The pipelines of the whole installation, as their streams tell them."""

    def __init__(
        self,
        *,
        log: CommandLog,
        streams: PipelineStreams,
        listed: PipelineList,
        plugins: Plugins,
        new_id: NewId,
        clock: Clock,
        max_timeout_seconds: int,
        on_cancelled: Callable[[str], None] = lambda execution_id: None,
    ) -> None:
        self._log = log
        self._streams = streams
        self._listed = listed
        self._plugins = plugins
        self._new_id = new_id
        self._clock = clock
        self._max_timeout_seconds = max_timeout_seconds
        self._on_cancelled = on_cancelled

    def register(self, bus: CommandBus) -> None:
        """Take the commands about pipelines."""
        bus.register(CreatePipeline, self.create)
        bus.register(ActivatePipeline, self.activate)
        bus.register(StartPipeline, self.start)
        bus.register(CancelPipeline, self.cancel)
        bus.register(DeletePipeline, self.delete)

    async def create(self, command: CreatePipeline, request: Request) -> Outcome:
        """Record a new pipeline, as a draft; raises InvalidInput, Unavailable."""
        definition = command.definition.checked(
            await self._plugins.manifests(), self._plugins.rules, self._max_timeout_seconds
        )
        pipeline_id = self._new_id()
        return await self._log.record(
            request, pipeline_id, [Pipeline.create(pipeline_id, definition, request.metadata)]
        )

    async def activate(self, command: ActivatePipeline, request: Request) -> Outcome:
        """Let a pipeline be run; raises NotFound, Unavailable."""
        return await self._decide(command.pipeline_id, request, lambda pipeline: pipeline.activate(request.metadata))

    async def start(self, command: StartPipeline, request: Request) -> Outcome:
        """Begin a run; raises NotFound, InvalidInput, Conflict (a draft, or running already), Unavailable."""
        execution_id = self._new_id()
        return await self._decide(
            command.pipeline_id,
            request,
            lambda pipeline: pipeline.start(execution_id, command.parameters, request.metadata),
            lambda pipeline: {"execution_id": execution_id, "estimated_duration_seconds": _estimate(pipeline)},
        )

    async def cancel(self, command: CancelPipeline, request: Request) -> Outcome:
        """End the present run and stop its steps; raises NotFound, Conflict (not running), Unavailable."""
        outcome = await self._decide(
            command.pipeline_id, request, lambda pipeline: pipeline.cancel(command.reason, request.metadata)
        )
        for event in outcome.events:
            self._on_cancelled(event.data["execution_id"])
        return outcome

    async def delete(self, command: DeletePipeline, request: Request) -> Outcome:
        """Take a pipeline away; raises NotFound, Conflict (running), Unavailable."""
        return await self._decide(command.pipeline_id, request, lambda pipeline: pipeline.delete(request.metadata))

    async def get(self, pipeline_id: str) -> PipelineView:
        """One pipeline, with every change that was acknowledged before; raises NotFound, Unavailable."""
        return PipelineView.of(await self._streams.find(pipeline_id))

    async def status(self, pipeline_id: str) -> PipelineStatusView:
        """How one pipeline fares, with every change that was acknowledged before; raises NotFound, Unavailable."""
        return PipelineStatusView.of(await self._streams.find(pipeline_id))

    async def page(self, *, status: str | None = None, limit: int = 50, offset: int = 0) -> PipelinePage:
        """Pipelines, the newest first; raises InvalidInput, Unavailable."""
        check_page(status, PipelineStatus, limit, offset)
        return await self._listed.page(status=status, limit=limit, offset=offset)

    async def running(self) -> int:
        """How many pipelines run now; raises Unavailable."""
        return await self._listed.running()

    async def _decide(
        self,
        pipeline_id: str,
        request: Request,
        decide: Callable[[Pipeline], Decision],
        facts: Callable[[Pipeline], Mapping[str, Any]] = lambda pipeline: {},
    ) -> Outcome:
        for _ in range(DECISION_ATTEMPTS):
            pipeline = await self._streams.find(pipeline_id)
            decision, found = decide(pipeline), facts(pipeline)
            jobs = step_jobs(pipeline_id, decision.queued, self._clock)
            try:
                return await self._log.record(request, pipeline_id, decision.events, jobs=jobs, facts=found)
            except VersionConflict:
                self._streams.forget(pipeline_id)
        raise unsettled(pipeline_id)


def created(outcome: Outcome) -> PipelineView:
    """Show the pipeline that a CreatePipeline made, as it was then."""
    return PipelineView.of(Pipeline.replay(outcome.aggregate_id, outcome.events))


def started(outcome: Outcome) -> PipelineStarted:
    """Show the run that a StartPipeline began."""
    return PipelineStarted(
        execution_id=outcome.facts["execution_id"],
        pipeline_id=outcome.aggregate_id,
        status="started",
        started_at=outcome.events[0].timestamp,
        estimated_duration_seconds=outcome.facts["estimated_duration_seconds"],
    )


def step_jobs(pipeline_id: str, queued: tuple[QueuedAttempt, ...], clock: Clock) -> list[Job]:
    """Give the jobs that make attempts."""
    return [
        Job(
            RUN_STEP,
            {
                "pipeline_id": pipeline_id,
                "execution_id": item.attempt.execution_id,
                "step_id": item.attempt.step_id,
                "attempt": item.attempt.number,
            },
            run_at=clock() + timedelta(milliseconds=item.delay_ms) if item.delay_ms else None,
        )
        for item in queued
    ]


def unsettled(pipeline_id: str) -> Unavailable:
    """Say that others kept changing a pipeline for as long as we tried to."""
    return Unavailable("event_store", f"pipeline '{pipeline_id}' can't be changed: its stream does not come to rest")


def _estimate(pipeline: Pipeline) -> float | None:
    return None if pipeline.last_completed_ms is None else round(pipeline.last_completed_ms / 1000, 3)
