"""PipelineStatus: every pipeline with its latest run, as the list of pipelines shows it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from flexcore.application.read_models.facts import number, text
from flexcore.domain.events import PIPELINE_AGGREGATE, PipelineEvent, RecordedEvent
from flexcore.domain.pipeline import PipelineStatus
from flexcore.domain.pipeline_run import StepStatus

_ENDS: Final = {
    PipelineEvent.COMPLETED.value: PipelineStatus.COMPLETED.value,
    PipelineEvent.FAILED.value: PipelineStatus.FAILED.value,
    PipelineEvent.CANCELLED.value: PipelineStatus.CANCELLED.value,
}


@dataclass(slots=True)
class PipelineStatusRow:
    """One pipeline. `position` is that of its first event: the newest pipeline has the highest.

    `steps` are in the order of the definition, each with `id`, `name`, `type` and `status`; what is about a run is of
    the latest one, and empty before the first.
    """

    pipeline_id: str
    position: int
    name: str = ""
    description: str = ""
    owner: str = ""
    status: str = PipelineStatus.DRAFT.value
    deleted: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    runs: int = 0
    execution_id: str | None = None
    last_run: datetime | None = None
    completed_at: datetime | None = None
    steps_total: int = 0
    steps_done: int = 0
    error: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)


class PipelineStatusProjection:
    """Folds the pipelines' events. What a step's end sets free or leaves out stands in its event."""

    name = "pipeline_status"
    version = 1
    row = PipelineStatusRow
    aggregate_types = (PIPELINE_AGGREGATE,)
    event_types = frozenset(event.value for event in PipelineEvent)

    def key(self, event: RecordedEvent) -> str | None:
        """Return the pipeline's id."""
        if event.type in self.event_types and event.aggregate_type == PIPELINE_AGGREGATE:
            return event.aggregate_id
        return None

    def apply(self, row: PipelineStatusRow | None, event: RecordedEvent) -> PipelineStatusRow:
        """Return the pipeline after `event`."""
        row = row or PipelineStatusRow(event.aggregate_id, event.position)
        row.updated_at = event.timestamp
        match event.type:
            case PipelineEvent.CREATED:
                _create(row, event)
            case PipelineEvent.ACTIVATED:
                row.status = PipelineStatus.ACTIVE.value
            case PipelineEvent.DELETED:
                row.deleted = True
            case PipelineEvent.STARTED:
                _start(row, event)
            case PipelineEvent.STEP_STARTED:
                _set(row, [event.data.get("step_id")], StepStatus.RUNNING)
            case PipelineEvent.STEP_COMPLETED:
                _set(row, [event.data.get("step_id")], StepStatus.COMPLETED)
                _go_on(row, event)
            case PipelineEvent.STEP_FAILED:
                again = number(event.data.get("retry_in_ms")) is not None
                _set(row, [event.data.get("step_id")], StepStatus.QUEUED if again else StepStatus.FAILED)
                _go_on(row, event)
            case _:
                _end(row, event)
        row.steps_done = sum(step["status"] in _DONE for step in row.steps)
        return row


_DONE: Final = frozenset(status.value for status in StepStatus if status.ended)


def _create(row: PipelineStatusRow, event: RecordedEvent) -> None:
    row.created_at = event.timestamp
    row.name = text(event.data.get("name")) or ""
    row.description = text(event.data.get("description")) or ""
    row.owner = text(event.data.get("owner")) or ""
    row.steps = [
        {
            "id": text(step.get("id")) or "",
            "name": text(step.get("name")) or "",
            "type": text(step.get("type")) or "",
            "status": StepStatus.PENDING.value,
        }
        for step in _listed(event.data.get("steps"))
        if isinstance(step, dict)
    ]
    row.steps_total = len(row.steps)


def _start(row: PipelineStatusRow, event: RecordedEvent) -> None:
    row.status = PipelineStatus.RUNNING.value
    row.runs += 1
    row.execution_id = text(event.data.get("execution_id"))
    row.last_run, row.completed_at, row.error = event.timestamp, None, None
    for step in row.steps:
        step["status"] = StepStatus.PENDING.value
    _go_on(row, event)


def _go_on(row: PipelineStatusRow, event: RecordedEvent) -> None:
    _set(row, event.data.get("queued"), StepStatus.QUEUED)
    _set(row, event.data.get("skipped"), StepStatus.SKIPPED)


def _end(row: PipelineStatusRow, event: RecordedEvent) -> None:
    row.status = _ENDS[event.type]
    row.completed_at = event.timestamp
    row.error = text(event.data.get("error"))
    _set(row, event.data.get("skipped"), StepStatus.SKIPPED)
    _set(row, event.data.get("cancelled"), StepStatus.CANCELLED)


def _set(row: PipelineStatusRow, step_ids: Any, status: StepStatus) -> None:
    wanted = {step_id for step_id in _listed(step_ids) if isinstance(step_id, str)}
    for step in row.steps:
        if step["id"] in wanted:
            step["status"] = status.value


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else ()
