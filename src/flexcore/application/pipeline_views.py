"""What the pipeline use cases answer. Field names are those of the API; times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flexcore.domain.pipeline import Pipeline, PipelineStatus
from flexcore.domain.pipeline_definition import OnFailure, PipelineDefinition, StepDefinition
from flexcore.domain.pipeline_run import Run, RunStatus, StepState, StepStatus
from flexcore.domain.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class PipelineStepView:
    """A step: what it is to do, and where it stands in the latest run. `type` is the plugin's."""

    id: str
    name: str
    type: str
    status: StepStatus
    plugin: str
    operation: str
    parameters: Mapping[str, Any]
    depends_on: tuple[str, ...]
    timeout_seconds: float
    retry: RetryPolicy
    on_failure: OnFailure

    @classmethod
    def of(cls, step: StepDefinition, state: StepState) -> "PipelineStepView":
        """Join a step with where it stands."""
        return cls(
            id=step.id,
            name=step.name,
            type=step.type,
            status=state.status,
            plugin=step.plugin,
            operation=step.operation or "",
            parameters=step.parameters,
            depends_on=step.depends_on,
            timeout_seconds=step.timeout_seconds,
            retry=step.retry,
            on_failure=step.on_failure,
        )


@dataclass(frozen=True, slots=True)
class PipelineView:
    """One pipeline. `last_run` is when its latest run began."""

    id: str
    name: str
    description: str
    status: PipelineStatus
    owner: str
    created_at: datetime
    updated_at: datetime
    last_run: datetime | None
    last_execution_id: str | None
    runs: int
    steps: tuple[PipelineStepView, ...]

    @classmethod
    def of(cls, pipeline: Pipeline) -> "PipelineView":
        """Show a pipeline that exists."""
        definition, created_at, updated_at = _of_existing(pipeline)
        run = pipeline.run
        return cls(
            id=pipeline.id,
            name=definition.name,
            description=definition.description,
            status=pipeline.status,
            owner=definition.owner,
            created_at=created_at,
            updated_at=updated_at,
            last_run=None if run is None else run.started_at,
            last_execution_id=None if run is None else run.execution_id,
            runs=pipeline.runs,
            steps=tuple(PipelineStepView.of(step, _state(run, step)) for step in definition.steps),
        )


@dataclass(frozen=True, slots=True)
class StepProgress:
    """Where a step of a run stands. `execution_id` is the plugin's execution of the latest attempt."""

    id: str
    name: str
    status: StepStatus
    attempt: int
    max_attempts: int
    execution_id: str | None
    node_id: str | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: float | None
    reason: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How many steps have ended, one way or another."""

    steps_done: int
    steps_total: int
    percent: float


@dataclass(frozen=True, slots=True)
class PipelineStatusView:
    """The latest run of a pipeline, and how far it is; what is about a run is null before the first."""

    id: str
    name: str
    status: PipelineStatus
    execution_id: str | None
    run_status: RunStatus | None
    started_at: datetime | None
    completed_at: datetime | None
    progress: Progress
    steps: tuple[StepProgress, ...]

    @classmethod
    def of(cls, pipeline: Pipeline) -> "PipelineStatusView":
        """Show how a pipeline that exists fares."""
        definition, _, _ = _of_existing(pipeline)
        run = pipeline.run
        done, total = 0 if run is None else run.steps_done, len(definition.steps)
        return cls(
            id=pipeline.id,
            name=definition.name,
            status=pipeline.status,
            execution_id=None if run is None else run.execution_id,
            run_status=None if run is None else run.status,
            started_at=None if run is None else run.started_at,
            completed_at=None if run is None else run.completed_at,
            progress=Progress(done, total, round(100 * done / total, 1)),
            steps=tuple(_progress(step, _state(run, step)) for step in definition.steps),
        )


@dataclass(frozen=True, slots=True)
class PipelineStepRow:
    """A step as the list of pipelines shows it."""

    id: str
    name: str
    type: str
    status: StepStatus


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """A pipeline as the list of pipelines shows it."""

    id: str
    name: str
    status: PipelineStatus
    owner: str
    created_at: datetime
    last_run: datetime | None
    steps: tuple[PipelineStepRow, ...]


@dataclass(frozen=True, slots=True)
class PipelinePage:
    """Part of the list of pipelines, the newest first; `total` counts all that match."""

    pipelines: tuple[PipelineRow, ...]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class PipelineStarted:
    """A run that began; the estimate is how long the latest complete run took."""

    execution_id: str
    pipeline_id: str
    status: str
    started_at: datetime
    estimated_duration_seconds: float | None


def _of_existing(pipeline: Pipeline) -> tuple[PipelineDefinition, datetime, datetime]:
    if pipeline.definition is None or pipeline.created_at is None or pipeline.updated_at is None:
        raise ValueError(f"pipeline '{pipeline.id}' was never created")
    return pipeline.definition, pipeline.created_at, pipeline.updated_at


def _state(run: Run | None, step: StepDefinition) -> StepState:
    return StepState() if run is None else run.steps[step.id]


def _progress(step: StepDefinition, state: StepState) -> StepProgress:
    return StepProgress(
        id=step.id,
        name=step.name,
        status=state.status,
        attempt=state.attempt,
        max_attempts=step.retry.max_attempts,
        execution_id=state.plugin_execution_id,
        node_id=state.node_id,
        started_at=state.started_at,
        completed_at=state.completed_at,
        duration_ms=state.duration_ms,
        reason=state.reason,
        error=state.error,
    )
