"""One run of a pipeline: where each step stands, as the run's events tell it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from flexcore.domain.events import PipelineEvent
from flexcore.domain.pipeline_definition import OnFailure, PipelineDefinition


class RunStatus(StrEnum):
    """How a run fares. One that went on after a step had failed, as its policy says, is `completed` in the end."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """`queued` also between two attempts; `skipped` never ran and never will in this run."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to the step."""
        return self not in (StepStatus.PENDING, StepStatus.QUEUED, StepStatus.RUNNING)


@dataclass(slots=True)
class StepState:
    """Where a step stands. `attempt` is the one that is queued, runs or ended last; 0 before the first.

    `plugin_execution_id` is that of the latest attempt that began, `error` that of the latest attempt that failed.
    """

    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    plugin_execution_id: str | None = None
    node_id: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: float | None = None
    reason: str | None = None
    error: str | None = None


@dataclass(slots=True)
class Run:
    """A run and its steps, in the order of the definition."""

    execution_id: str
    parameters: Mapping[str, Any]
    metadata: Mapping[str, Any]
    status: RunStatus = RunStatus.RUNNING
    started_at: datetime | None = None
    completed_at: datetime | None = None
    steps: dict[str, StepState] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.status is not RunStatus.RUNNING

    @property
    def steps_done(self) -> int:
        """How many steps have ended, one way or another."""
        return sum(step.status.ended for step in self.steps.values())

    def having(self, *statuses: StepStatus) -> list[str]:
        """Ids of the steps that stand so."""
        return [step_id for step_id, step in self.steps.items() if step.status in statuses]

    def trial(self) -> "Run":
        """Copy the run, to see what an event would change."""
        return replace(self, steps={step_id: replace(step) for step_id, step in self.steps.items()})

    def apply(self, event_type: str, data: Mapping[str, Any], metadata: Mapping[str, Any], at: datetime | None) -> None:
        """Take in one event of this run, recorded or about to be (then `at` is None)."""
        match event_type:
            case PipelineEvent.STEP_STARTED:
                step = self.steps[data["step_id"]]
                step.status, step.attempt = StepStatus.RUNNING, data["attempt"]
                step.plugin_execution_id = data["plugin_execution_id"]
                step.node_id = metadata.get("node_id")
                step.started_at = at
            case PipelineEvent.STEP_COMPLETED:
                step = self._end_attempt(data, StepStatus.COMPLETED, at)
                step.reason = step.error = None
                self.go_on(data["queued"], data["skipped"])
            case PipelineEvent.STEP_FAILED:
                again = data["retry_in_ms"] is not None
                step = self._end_attempt(data, StepStatus.QUEUED if again else StepStatus.FAILED, at)
                step.reason, step.error = data["reason"], data["error"]
                if again:
                    step.attempt += 1
                self.go_on(data["queued"], data["skipped"])
            case PipelineEvent.COMPLETED:
                self._end(RunStatus.COMPLETED, data, at)
            case PipelineEvent.FAILED:
                self._end(RunStatus.FAILED, data, at)
            case PipelineEvent.CANCELLED:
                self._end(RunStatus.CANCELLED, data, at)

    def go_on(self, queued: Iterable[str], skipped: Iterable[str] = ()) -> None:
        """Let steps wait for their first attempt, and leave others out."""
        for step_id in queued:
            self.steps[step_id].status, self.steps[step_id].attempt = StepStatus.QUEUED, 1
        self._set(skipped, StepStatus.SKIPPED)

    def unblocked(self, definition: PipelineDefinition) -> tuple[list[str], list[str]]:
        """Ids of the pending steps that may begin now, and of those that never will."""
        ready: list[str] = []
        skipped: list[str] = []
        moved = True
        while moved:
            moved = False
            for step in definition.steps:
                if self.steps[step.id].status is not StepStatus.PENDING or step.id in ready or step.id in skipped:
                    continue
                verdicts = [self._lets_go_on(definition, parent, skipped) for parent in step.depends_on]
                if False in verdicts:
                    skipped.append(step.id)
                    moved = True
                elif all(verdicts):
                    ready.append(step.id)
        return ready, skipped

    def _lets_go_on(self, definition: PipelineDefinition, step_id: str, skipped: list[str]) -> bool | None:
        """Whether what depends on a step may begin: yes, never, or None for not yet."""
        if step_id in skipped:
            return False
        match self.steps[step_id].status:
            case StepStatus.COMPLETED:
                return True
            case StepStatus.FAILED:
                step = definition.step(step_id)
                return step is not None and step.on_failure is OnFailure.CONTINUE
            case StepStatus.SKIPPED | StepStatus.CANCELLED:
                return False
            case _:
                return None

    def _end_attempt(self, data: Mapping[str, Any], status: StepStatus, at: datetime | None) -> StepState:
        step = self.steps[data["step_id"]]
        step.status = status
        step.completed_at = at
        step.duration_ms = data["duration_ms"]
        return step

    def _end(self, status: RunStatus, data: Mapping[str, Any], at: datetime | None) -> None:
        self.status, self.completed_at = status, at
        self._set(data.get("skipped", ()), StepStatus.SKIPPED)
        self._set(data.get("cancelled", ()), StepStatus.CANCELLED)

    def _set(self, step_ids: Iterable[str], status: StepStatus) -> None:
        for step_id in step_ids:
            self.steps[step_id].status = status


def results_of(run: Run) -> Iterator[tuple[str, str]]:
    """Give each completed step with the plugin's execution that holds its result."""
    for step_id, step in run.steps.items():
        if step.status is StepStatus.COMPLETED and step.plugin_execution_id is not None:
            yield step_id, step.plugin_execution_id
