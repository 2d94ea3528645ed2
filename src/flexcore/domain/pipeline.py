"""The aggregate Pipeline: its state as its events tell it, and the decisions that depend on it.

A decision changes nothing. It gives the events to record and the attempts to queue with them; each event carries the
version that the stream must still have, so of two decisions made from the same state one is refused and made anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from flexcore.domain.errors import Conflict
from flexcore.domain.events import PIPELINE_AGGREGATE, NewEvent, PipelineEvent, RecordedEvent
from flexcore.domain.pipeline_definition import OnFailure, PipelineDefinition, StepDefinition
from flexcore.domain.pipeline_run import Run, StepState, StepStatus
from flexcore.domain.retry import RetryPolicy


class PipelineStatus(StrEnum):
    """A draft can't run yet. After the first run the status is that of the latest one."""

    DRAFT = "draft"
    ACTIVE = "active"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FailureReason(StrEnum):
    """Why an attempt of a step failed."""

    PLUGIN_FAILED = "plugin_failed"
    TIMED_OUT = "timed_out"
    UNSUCCESSFUL = "unsuccessful"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    KILLED = "killed"
    NODE_LOST = "node_lost"


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt's failure. A `final` one would come again; after one `at_once` the retry needs no pause."""

    reason: FailureReason
    error: str
    duration_ms: float | None = None
    final: bool = False
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one step in one run."""

    execution_id: str
    step_id: str
    number: int


@dataclass(frozen=True, slots=True)
class QueuedAttempt:
    """An attempt to make, `delay_ms` from now at the earliest."""

    attempt: Attempt
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What to record and to queue, in one transaction; nothing at all if the question came too late."""

    events: tuple[NewEvent, ...] = ()
    queued: tuple[QueuedAttempt, ...] = ()


class Delivery(StrEnum):
    """What an attempt that was handed to a node is: yet to be made, begun but without an end, or over."""

    FRESH = "fresh"
    BEGUN = "begun"
    STALE = "stale"


@dataclass(slots=True)
class Pipeline:
    """One pipeline. `run` is the latest; there is never more than one at a time."""

    id: str
    version: int = 0
    definition: PipelineDefinition | None = None
    active: bool = False
    deleted: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    run: Run | None = None
    runs: int = 0
    last_completed_ms: float | None = None

    @staticmethod
    def create(pipeline_id: str, definition: PipelineDefinition, metadata: Mapping[str, Any]) -> NewEvent:
        """Give the event that creates a pipeline from a definition that was checked."""
        return NewEvent(PipelineEvent.CREATED, pipeline_id, PIPELINE_AGGREGATE, _written(definition), metadata, 0)

    @classmethod
    def replay(cls, pipeline_id: str, events: Iterable[RecordedEvent]) -> Self:
        """Rebuild the pipeline from its stream, oldest first; without any event it does not exist."""
        pipeline = cls(pipeline_id)
        pipeline.take(events)
        return pipeline

    def take(self, events: Iterable[RecordedEvent]) -> None:
        """Go on with later events of the stream; those it knows already change nothing."""
        for event in events:
            if event.version > self.version:
                self.version = event.version
                self.updated_at = event.timestamp
                self._apply(event)

    @property
    def exists(self) -> bool:
        """Whether it was created and not deleted since."""
        return self.definition is not None and not self.deleted

    @property
    def status(self) -> PipelineStatus:
        """Where the pipeline stands."""
        if self.run is not None:
            return PipelineStatus(self.run.status.value)
        return PipelineStatus.ACTIVE if self.active else PipelineStatus.DRAFT

    def activate(self, metadata: Mapping[str, Any]) -> Decision:
        """Let the pipeline be run; once is enough."""
        return Decision() if self.active else self._decision([(PipelineEvent.ACTIVATED, {})], metadata)

    def delete(self, metadata: Mapping[str, Any]) -> Decision:
        """Take the pipeline away; raises Conflict while it runs."""
        if self._running is not None:
            raise Conflict(f"pipeline '{self.id}' is running; cancel it or wait for its end before deleting it")
        return self._decision([(PipelineEvent.DELETED, {})], metadata)

    def start(self, execution_id: str, parameters: Mapping[str, Any], metadata: Mapping[str, Any]) -> Decision:
        """Begin a run; raises Conflict for a draft and while another run goes on, InvalidInput for its parameters."""
        definition = self._defined()
        if not self.active:
            raise Conflict(f"pipeline '{self.id}' is a draft; activate it before executing it")
        if self._running is not None:
            raise Conflict(f"pipeline '{self.id}' is running already, as execution {self._running.execution_id}")
        definition.check_parameters(parameters)
        ready, _ = _new_run(definition, execution_id, parameters, metadata).unblocked(definition)
        data = {"execution_id": execution_id, "parameters": parameters, "queued": ready}
        return self._decision([(PipelineEvent.STARTED, data)], metadata, _first_attempts(execution_id, ready))

    def cancel(self, reason: str, metadata: Mapping[str, Any]) -> Decision:
        """End the run before its time; raises Conflict if none goes on."""
        run = self._running
        if run is None:
            raise Conflict(f"pipeline '{self.id}' is not running")
        left = run.having(StepStatus.PENDING, StepStatus.QUEUED, StepStatus.RUNNING)
        data = {"execution_id": run.execution_id, "reason": reason, "cancelled": left}
        return self._decision([(PipelineEvent.CANCELLED, data)], metadata)

    def delivery(self, attempt: Attempt) -> Delivery:
        """Judge an attempt that was handed to a node; a job may come twice, or when its run is long over."""
        state = self._current(attempt)
        if state is None:
            return Delivery.STALE
        return Delivery.FRESH if state.status is StepStatus.QUEUED else Delivery.BEGUN

    def begin_step(self, attempt: Attempt, plugin_execution_id: str, metadata: Mapping[str, Any]) -> Decision:
        """Begin a fresh attempt; nothing for any other."""
        if self.delivery(attempt) is not Delivery.FRESH:
            return Decision()
        data = {**_facts(attempt), "plugin_execution_id": plugin_execution_id}
        return self._decision([(PipelineEvent.STEP_STARTED, data)], metadata)

    def complete_step(self, attempt: Attempt, duration_ms: float, metadata: Mapping[str, Any]) -> Decision:
        """End an attempt that began, and let go what waited for it; nothing if it has ended otherwise."""
        if self.delivery(attempt) is not Delivery.BEGUN:
            return Decision()
        return self._go_on(PipelineEvent.STEP_COMPLETED, attempt, {"duration_ms": duration_ms}, metadata)

    def fail_step(self, attempt: Attempt, failure: Failure, draw: float, metadata: Mapping[str, Any]) -> Decision:
        """End an attempt that began or can't begin: queue the next one, or do as the step's `on_failure` says.

        `draw` is a random number from 0 up to 1. Gives nothing if the attempt has ended otherwise.
        """
        step = self.step(attempt.step_id)
        if step is None or self.delivery(attempt) is Delivery.STALE:
            return Decision()
        pause = None if failure.final else step.retry.backoff_ms(attempt.number, draw)
        if pause is not None and failure.at_once:
            pause = 0
        # A plugin's own words end up here, and the event log has no place for the character NUL.
        error = failure.error.replace("\0", "\N{REPLACEMENT CHARACTER}")
        facts = {"reason": failure.reason.value, "error": error, "duration_ms": failure.duration_ms}
        facts["retry_in_ms"] = pause
        if pause is None:
            return self._go_on(PipelineEvent.STEP_FAILED, attempt, facts, metadata)
        data = {**_facts(attempt), **facts, "queued": [], "skipped": []}
        again = Attempt(attempt.execution_id, attempt.step_id, attempt.number + 1)
        return self._decision([(PipelineEvent.STEP_FAILED, data)], metadata, [QueuedAttempt(again, pause)])

    def step(self, step_id: str) -> StepDefinition | None:
        """Find a step's definition."""
        return None if self.definition is None else self.definition.step(step_id)

    @property
    def _running(self) -> Run | None:
        return None if self.run is None or self.run.ended else self.run

    def _defined(self) -> PipelineDefinition:
        if self.definition is None:
            raise ValueError(f"pipeline '{self.id}' was never created")
        return self.definition

    def _current(self, attempt: Attempt) -> StepState | None:
        """Where the step stands, if `attempt` is the one that it waits for or works on."""
        run = self._running
        if run is None or run.execution_id != attempt.execution_id:
            return None
        state = run.steps.get(attempt.step_id)
        if state is None or state.attempt != attempt.number:
            return None
        return state if state.status in (StepStatus.QUEUED, StepStatus.RUNNING) else None

    def _go_on(
        self, event_type: PipelineEvent, attempt: Attempt, facts: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Decision:
        """End a step for good: queue what may begin now, or end the run."""
        definition = self._defined()
        step = definition.step(attempt.step_id)
        if self.run is None or step is None:
            raise ValueError(f"pipeline '{self.id}' has no attempt {attempt}")
        run = self.run.trial()
        data: dict[str, Any] = {**_facts(attempt), **facts, "queued": [], "skipped": []}
        run.apply(event_type, data, {}, None)
        if event_type is PipelineEvent.STEP_FAILED and step.on_failure is OnFailure.FAIL:
            return self._decision([(event_type, data), (PipelineEvent.FAILED, _failed(run, attempt))], metadata)
        data["queued"], data["skipped"] = run.unblocked(definition)
        run.go_on(data["queued"], data["skipped"])
        facts_of_all: list[tuple[PipelineEvent, dict[str, Any]]] = [(event_type, data)]
        if run.steps_done == len(run.steps):
            facts_of_all.append((PipelineEvent.COMPLETED, _completed(run)))
        return self._decision(facts_of_all, metadata, _first_attempts(run.execution_id, data["queued"]))

    def _decision(
        self,
        facts: Iterable[tuple[PipelineEvent, Mapping[str, Any]]],
        metadata: Mapping[str, Any],
        queued: Iterable[QueuedAttempt] = (),
    ) -> Decision:
        events = tuple(
            NewEvent(event_type, self.id, PIPELINE_AGGREGATE, data, metadata, self.version + index)
            for index, (event_type, data) in enumerate(facts)
        )
        return Decision(events, tuple(queued))

    def _apply(self, event: RecordedEvent) -> None:
        match event.type:
            case PipelineEvent.CREATED:
                self.definition = _read(event.data)
                self.created_at = event.timestamp
            case PipelineEvent.ACTIVATED:
                self.active = True
            case PipelineEvent.DELETED:
                self.deleted = True
            case PipelineEvent.STARTED:
                data = event.data
                self.run = _new_run(self._defined(), data["execution_id"], data["parameters"], event.metadata)
                self.run.started_at = event.timestamp
                self.run.go_on(data["queued"])
                self.runs += 1
            case _ if self.run is not None:
                self.run.apply(event.type, event.data, event.metadata, event.timestamp)
                if event.type == PipelineEvent.COMPLETED and self.run.started_at is not None:
                    self.last_completed_ms = (event.timestamp - self.run.started_at).total_seconds() * 1000


def _new_run(
    definition: PipelineDefinition, execution_id: str, parameters: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Run:
    return Run(execution_id, parameters, metadata, steps={step.id: StepState() for step in definition.steps})


def _first_attempts(execution_id: str, step_ids: Iterable[str]) -> list[QueuedAttempt]:
    return [QueuedAttempt(Attempt(execution_id, step_id, 1)) for step_id in step_ids]


def _facts(attempt: Attempt) -> dict[str, Any]:
    return {"execution_id": attempt.execution_id, "step_id": attempt.step_id, "attempt": attempt.number}


def _failed(run: Run, attempt: Attempt) -> dict[str, Any]:
    return {
        "execution_id": run.execution_id,
        "step_id": attempt.step_id,
        "error": run.steps[attempt.step_id].error,
        "cancelled": run.having(StepStatus.QUEUED, StepStatus.RUNNING),
        "skipped": run.having(StepStatus.PENDING),
    }


def _completed(run: Run) -> dict[str, Any]:
    return {"execution_id": run.execution_id, "failed_steps": run.having(StepStatus.FAILED)}


def _written(definition: PipelineDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "owner": definition.owner,
        "steps": [
            {
                "id": step.id,
                "name": step.name,
                "type": step.type,
                "plugin": step.plugin,
                "operation": step.operation,
                "parameters": step.parameters,
                "depends_on": list(step.depends_on),
                "timeout_seconds": step.timeout_seconds,
                "retry": {
                    "max_attempts": step.retry.max_attempts,
                    "initial_backoff_ms": step.retry.initial_backoff_ms,
                    "max_backoff_ms": step.retry.max_backoff_ms,
                    "multiplier": step.retry.multiplier,
                    "jitter": step.retry.jitter,
                },
                "on_failure": step.on_failure.value,
            }
            for step in definition.steps
        ],
    }


def _read(data: Mapping[str, Any]) -> PipelineDefinition:
    return PipelineDefinition(
        name=data["name"],
        description=data["description"],
        owner=data["owner"],
        steps=tuple(
            StepDefinition(
                **{
                    **step,
                    "depends_on": tuple(step["depends_on"]),
                    "retry": RetryPolicy(**step["retry"]),
                    "on_failure": OnFailure(step["on_failure"]),
                }
            )
            for step in data["steps"]
        ),
    )
