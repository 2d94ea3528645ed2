"""Pipelines and their streams, for the tests of the aggregate."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from flexcore.domain.events import NewEvent, RecordedEvent
from flexcore.domain.manifest import PluginCommand, PluginManifest
from flexcore.domain.pipeline import Attempt, Decision, Pipeline, QueuedAttempt
from flexcore.domain.pipeline_definition import PipelineDefinition, StepDefinition
from flexcore.infrastructure.json_schema import JsonSchemaRules

START = datetime(2025, 8, 1, tzinfo=UTC)
METADATA = {"correlation_id": "c-1"}
PLUGINS = {
    "text": PluginManifest(
        id="text",
        name="Text",
        version="1.0",
        type="processor",
        description="",
        entry_point="m:C",
        commands=(
            PluginCommand(
                "upper",
                "",
                {"properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False},
            ),
            PluginCommand("echo", "", {}, default=True),
        ),
    )
}


def step(step_id: str, *depends_on: str, **other: Any) -> StepDefinition:
    return StepDefinition(step_id, "text", depends_on=depends_on, **other)


def definition(*steps: StepDefinition) -> PipelineDefinition:
    return PipelineDefinition("orders", steps).checked(PLUGINS, JsonSchemaRules(), 300)


class Stream:
    """One pipeline's stream: what it refuses, the event store would refuse too."""

    def __init__(self, *steps: StepDefinition) -> None:
        self.events: list[RecordedEvent] = []
        self.queued: list[QueuedAttempt] = []
        self.record([Pipeline.create("p", definition(*steps), METADATA)])
        self.take(self.pipeline.activate(METADATA))

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline.replay("p", self.events)

    def start(self, execution_id: str = "run", **parameters: Any) -> list[str]:
        return self.take(self.pipeline.start(execution_id, parameters, METADATA))

    def take(self, decision: Decision) -> list[str]:
        """Record a decision; gives the types of its events."""
        self.queued += decision.queued
        return self.record(decision.events)

    def record(self, events: Iterable[NewEvent]) -> list[str]:
        types = []
        for event in events:
            assert event.expected_version == len(self.events)
            number = len(self.events) + 1
            at = START + timedelta(seconds=number)
            self.events.append(
                RecordedEvent(
                    id=f"id{number}",
                    position=number,
                    type=event.type,
                    aggregate_id=event.aggregate_id,
                    aggregate_type=event.aggregate_type,
                    version=number,
                    data=event.data,
                    metadata=event.metadata,
                    timestamp=at,
                    hash=f"{number:064x}",
                )
            )
            types.append(str(event.type))
        return types

    def next(self) -> Attempt:
        return self.queued.pop(0).attempt

    def begin(self, attempt: Attempt) -> list[str]:
        return self.take(self.pipeline.begin_step(attempt, f"e-{attempt.step_id}-{attempt.number}", METADATA))

    def complete(self, attempt: Attempt) -> list[str]:
        return self.take(self.pipeline.complete_step(attempt, 5.0, METADATA))

    def statuses(self) -> dict[str, str]:
        run = self.pipeline.run
        return {} if run is None else {step_id: state.status.value for step_id, state in run.steps.items()}
