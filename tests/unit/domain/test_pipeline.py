"""The aggregate Pipeline, case by case. `test_pipeline_machine.py` looks for what no case here thought of."""

import pytest

from flexcore.domain.errors import Conflict, InvalidInput
from flexcore.domain.pipeline import Attempt, Delivery, Failure, FailureReason, Pipeline, PipelineStatus
from flexcore.domain.pipeline_definition import OnFailure
from flexcore.domain.retry import RetryPolicy
from tests.unit.domain.pipelines import METADATA, Stream, definition, step

ONCE = RetryPolicy(max_attempts=1)
TWICE = RetryPolicy(max_attempts=2, initial_backoff_ms=400, jitter=0.5)
FAILURE = Failure(FailureReason.PLUGIN_FAILED, "it broke")


def fail(stream: Stream, attempt: Attempt, failure: Failure = FAILURE, draw: float = 0.0) -> list[str]:
    stream.begin(attempt)
    return stream.take(stream.pipeline.fail_step(attempt, failure, draw, METADATA))


def test_what_was_created_is_read_back_as_it_was() -> None:
    wanted = definition(
        step("a", retry=TWICE, on_failure=OnFailure.CONTINUE, parameters={"x": [1]}), step("b", "a", name="B")
    )
    stream = Stream(*wanted.steps)
    assert stream.pipeline.definition == wanted
    assert Pipeline("p").exists is False
    assert stream.pipeline.exists


def test_a_draft_does_not_run() -> None:
    pipeline = Pipeline("p")
    stream = Stream(step("a"))
    pipeline.take(stream.events[:1])
    assert pipeline.status is PipelineStatus.DRAFT
    with pytest.raises(Conflict, match="is a draft"):
        pipeline.start("run", {}, METADATA)
    assert stream.pipeline.status is PipelineStatus.ACTIVE
    assert stream.pipeline.activate(METADATA).events == ()


def test_steps_run_when_what_they_depend_on_is_done() -> None:
    stream = Stream(step("a"), step("b"), step("c", "a", "b"))
    assert stream.start() == ["PipelineStarted"]
    first, second = stream.next(), stream.next()
    assert (first, second, stream.queued) == (Attempt("run", "a", 1), Attempt("run", "b", 1), [])
    stream.begin(first)
    assert stream.complete(first) == ["PipelineStepCompleted"]
    assert stream.queued == []
    stream.begin(second)
    stream.complete(second)
    last = stream.next()
    assert last == Attempt("run", "c", 1)
    stream.begin(last)
    assert stream.complete(last) == ["PipelineStepCompleted", "PipelineCompleted"]
    assert stream.pipeline.status is PipelineStatus.COMPLETED
    assert stream.pipeline.last_completed_ms == 7000


def test_one_run_at_a_time_and_another_one_afterwards() -> None:
    stream = Stream(step("a"))
    stream.start()
    with pytest.raises(Conflict, match="running already, as execution run"):
        stream.pipeline.start("second", {}, METADATA)
    with pytest.raises(Conflict, match="cancel it"):
        stream.pipeline.delete(METADATA)
    attempt = stream.next()
    stream.begin(attempt)
    stream.complete(attempt)
    assert stream.start("second") == ["PipelineStarted"]
    assert stream.pipeline.delivery(attempt) is Delivery.STALE
    assert stream.pipeline.runs == 2


def test_a_run_needs_its_parameters() -> None:
    stream = Stream(step("a", parameters={"x": {"$from": "parameters.day"}}))
    with pytest.raises(InvalidInput, match=r"parameters\.day"):
        stream.start()
    stream.start(day=1)
    run = stream.pipeline.run
    assert run is not None
    assert run.parameters == {"day": 1}


def test_a_failed_attempt_is_followed_by_the_next_after_its_pause() -> None:
    stream = Stream(step("a", retry=TWICE))
    stream.start()
    assert fail(stream, stream.next(), draw=0.5) == ["PipelineStepFailed"]
    (queued,) = stream.queued
    assert (queued.attempt, queued.delay_ms) == (Attempt("run", "a", 2), 300)
    assert stream.statuses() == {"a": "queued"}
    assert fail(stream, stream.next()) == ["PipelineStepFailed", "PipelineFailed"]
    assert (stream.events[-2].data["retry_in_ms"], stream.statuses()) == (None, {"a": "failed"})


def test_some_failures_are_not_tried_again_and_some_at_once() -> None:
    lost = Failure(FailureReason.NODE_LOST, "its node is gone", at_once=True)
    stream = Stream(step("a", retry=TWICE))
    stream.start()
    fail(stream, stream.next(), lost)
    assert stream.queued[0].delay_ms == 0
    final = Failure(FailureReason.REFUSED, "no such operation", final=True)
    stream = Stream(step("a", retry=TWICE))
    stream.start()
    assert fail(stream, stream.next(), final) == ["PipelineStepFailed", "PipelineFailed"]


@pytest.mark.parametrize(
    ("policy", "events", "statuses"),
    [
        (
            OnFailure.FAIL,
            ["PipelineStepFailed", "PipelineFailed"],
            {"a": "failed", "b": "cancelled", "c": "skipped", "d": "skipped"},
        ),
        (
            OnFailure.CONTINUE,
            ["PipelineStepFailed"],
            {"a": "failed", "b": "queued", "c": "queued", "d": "pending"},
        ),
        (
            OnFailure.SKIP_DEPENDENTS,
            ["PipelineStepFailed"],
            {"a": "failed", "b": "queued", "c": "skipped", "d": "skipped"},
        ),
    ],
)
def test_what_a_failure_does_to_the_others(policy: OnFailure, events: list[str], statuses: dict[str, str]) -> None:
    stream = Stream(step("a", retry=ONCE, on_failure=policy), step("b"), step("c", "a"), step("d", "c"))
    stream.start()
    assert fail(stream, stream.next()) == events
    assert stream.statuses() == statuses


def test_a_run_that_went_on_after_a_failure_says_which_steps_failed() -> None:
    stream = Stream(step("a", retry=ONCE, on_failure=OnFailure.SKIP_DEPENDENTS), step("b", "a"))
    stream.start()
    assert fail(stream, stream.next()) == ["PipelineStepFailed", "PipelineCompleted"]
    assert stream.events[-1].data == {"execution_id": "run", "failed_steps": ["a"]}
    assert stream.statuses() == {"a": "failed", "b": "skipped"}


def test_cancel_ends_the_run_and_whatever_comes_later_is_stale() -> None:
    stream = Stream(step("a"), step("b"), step("c", "a"))
    with pytest.raises(Conflict, match="is not running"):
        stream.pipeline.cancel("why", METADATA)
    stream.start()
    running, queued = stream.next(), stream.next()
    stream.begin(running)
    assert stream.take(stream.pipeline.cancel("why", METADATA)) == ["PipelineCancelled"]
    assert stream.statuses() == {"a": "cancelled", "b": "cancelled", "c": "cancelled"}
    assert stream.pipeline.status is PipelineStatus.CANCELLED
    assert stream.complete(running) == []
    assert stream.begin(queued) == []
    assert stream.take(stream.pipeline.fail_step(running, FAILURE, 0.0, METADATA)) == []


def test_an_attempt_ends_once() -> None:
    stream = Stream(step("a"), step("b", "a"))
    stream.start()
    attempt = stream.next()
    assert stream.complete(attempt) == []  # it never began
    stream.begin(attempt)
    assert stream.begin(attempt) == []
    assert stream.pipeline.delivery(attempt) is Delivery.BEGUN
    stream.complete(attempt)
    assert stream.complete(attempt) == []
    assert stream.take(stream.pipeline.fail_step(attempt, FAILURE, 0.0, METADATA)) == []


def test_an_attempt_that_was_taken_over_can_not_end_any_more() -> None:
    stream = Stream(step("a", retry=TWICE))
    stream.start()
    first = stream.next()
    fail(stream, first, Failure(FailureReason.NODE_LOST, "gone", at_once=True))
    second = stream.next()
    assert stream.complete(first) == []
    stream.begin(second)
    assert stream.complete(first) == []
    assert stream.complete(second) == ["PipelineStepCompleted", "PipelineCompleted"]


def test_a_plugins_words_can_be_recorded() -> None:
    stream = Stream(step("a"))
    stream.start()
    fail(stream, stream.next(), Failure(FailureReason.PLUGIN_FAILED, "no\0thing"))
    assert stream.events[-1].data["error"] == "no\N{REPLACEMENT CHARACTER}thing"


def test_a_deleted_pipeline_does_not_exist() -> None:
    stream = Stream(step("a"))
    assert stream.take(stream.pipeline.delete(METADATA)) == ["PipelineDeleted"]
    assert not stream.pipeline.exists


def test_an_event_of_a_future_version_changes_nothing_but_the_version() -> None:
    stream = Stream(step("a"))
    before = stream.pipeline
    stream.record([stream.pipeline.delete(METADATA).events[0]])
    later = stream.events[-1]
    stream.events[-1] = type(later)(**{**{f: getattr(later, f) for f in later.__slots__}, "type": "Unheard"})
    after = stream.pipeline
    assert after.exists
    assert after.version == before.version + 1


def test_unknown_attempts_are_stale() -> None:
    stream = Stream(step("a"))
    for attempt in (Attempt("run", "a", 1), Attempt("run", "z", 1)):
        assert stream.pipeline.delivery(attempt) is Delivery.STALE
    stream.start()
    for attempt in (Attempt("run", "z", 1), Attempt("run", "a", 2), Attempt("other", "a", 1)):
        assert stream.pipeline.delivery(attempt) is Delivery.STALE
        assert stream.take(stream.pipeline.fail_step(attempt, FAILURE, 0.0, METADATA)) == []
