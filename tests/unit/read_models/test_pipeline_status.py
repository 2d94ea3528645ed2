"""The fold of PipelineStatus agrees with the aggregate Pipeline, whatever happens to one."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from flexcore.application.read_models.pipeline_status import PipelineStatusProjection, PipelineStatusRow
from flexcore.domain.events import PIPELINE_AGGREGATE, NewEvent, PipelineEvent
from flexcore.domain.pipeline import Pipeline
from tests.unit.domain.pipelines import METADATA, Stream, step
from tests.unit.domain.test_pipeline_machine import PipelineMachine
from tests.unit.read_models.histories import folded, recorded


def row_of(stream: Stream) -> PipelineStatusRow:
    return folded(PipelineStatusProjection(), stream.events)["p"]


def assert_agrees(row: PipelineStatusRow, pipeline: Pipeline) -> None:
    assert pipeline.definition is not None
    run = pipeline.run
    assert (row.name, row.owner, row.status) == (pipeline.definition.name, pipeline.definition.owner, pipeline.status)
    assert (row.created_at, row.updated_at, row.deleted) == (pipeline.created_at, pipeline.updated_at, pipeline.deleted)
    assert row.runs == pipeline.runs
    assert [(known["id"], known["name"], known["type"]) for known in row.steps] == [
        (known.id, known.name, known.type) for known in pipeline.definition.steps
    ]
    assert row.steps_total == len(pipeline.definition.steps)
    if run is None:
        assert (row.execution_id, row.last_run, row.steps_done) == (None, None, 0)
    else:
        assert (row.execution_id, row.last_run) == (run.execution_id, run.started_at)
        assert (row.completed_at, row.steps_done) == (run.completed_at, run.steps_done)
        assert {known["id"]: known["status"] for known in row.steps} == {
            step_id: state.status.value for step_id, state in run.steps.items()
        }


class RowMachine(PipelineMachine):
    """The histories of the aggregate's own test."""

    @invariant()
    def the_row_agrees_with_the_aggregate(self) -> None:
        assert_agrees(row_of(self.stream), self.stream.pipeline)


TestRowMachine = RowMachine.TestCase
TestRowMachine.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_draft_and_its_end() -> None:
    stream = Stream(step("a"))
    draft = folded(PipelineStatusProjection(), stream.events[:1])["p"]
    assert (draft.status, draft.position) == ("draft", 1)
    stream.take(stream.pipeline.delete(METADATA))
    assert row_of(stream).deleted
    assert_agrees(row_of(stream), stream.pipeline)


@pytest.mark.parametrize("odd", [None, True, -1, "long", [1], [None], {}, {"a": 1}, [{"id": 1}], [{}]])
def test_odd_data_does_not_stop_the_fold(odd: Any) -> None:
    names = (
        "name", "description", "owner", "steps", "execution_id", "step_id", "queued", "skipped", "cancelled",
        "retry_in_ms", "error",
    )  # fmt: skip
    events = [
        NewEvent(event_type, "p", PIPELINE_AGGREGATE, dict.fromkeys(names, odd))
        for _ in range(2)
        for event_type in PipelineEvent
    ]
    (row,) = folded(PipelineStatusProjection(), recorded(*events)).values()
    assert row.deleted
