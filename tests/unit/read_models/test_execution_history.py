"""The fold of ExecutionHistory."""

from datetime import timedelta
from typing import Any

import pytest

from flexcore.application.read_models.execution_history import ExecutionHistoryProjection, ExecutionRow
from flexcore.domain.events import NewEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.domain.usage import ExecutionUsage
from tests.unit.read_models.histories import at, folded, recorded

QUEUED, STARTED = "PluginExecutionQueued", "PluginExecutionStarted"
COMPLETED, FAILED = "PluginExecutionCompleted", "PluginExecutionFailed"


def history(*events: NewEvent | tuple[str, dict[str, Any]], **others: Any) -> ExecutionRow:
    (row,) = folded(ExecutionHistoryProjection(), recorded(*events, **others)).values()
    return row


def e(**data: Any) -> dict[str, Any]:
    return {"execution_id": "e", **data}


def test_an_execution_as_the_server_records_it() -> None:
    record = ExecutionRecord("e", "p", "run", {"node_id": "node1", "user_id": "ann", "correlation_id": "c"})
    used = ExecutionUsage(cpu_ms=9.5, peak_memory_bytes=3 << 32)
    row = history(record.started(30), record.completed(success=True, execution_time_ms=12.5, usage=used))
    assert row == ExecutionRow(
        execution_id="e", position=1, plugin_id="p", operation="run", status="completed", success=True,
        node_id="node1", attempt=1, user_id="ann", correlation_id="c", started_at=at(1), completed_at=at(2),
        deadline=at(1) + timedelta(seconds=30), duration_ms=12.5, cpu_ms=9.5, peak_memory_bytes=3 << 32,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (FailureReason.PLUGIN_FAILED, "failed"),
        (FailureReason.TIMED_OUT, "timed_out"),
        (FailureReason.CANCELLED, "cancelled"),
        (FailureReason.KILLED, "killed"),
        ("node_lost", "node_lost"),
        ("something new", "failed"),
        (None, "failed"),
    ],
)
def test_an_end_without_an_answer_says_why(reason: str | None, status: str) -> None:
    row = history((STARTED, e()), (FAILED, e(reason=reason, error="it broke", execution_time_ms=3)))
    assert (row.status, row.error, row.success, row.duration_ms) == (status, "it broke", None, 3)


def test_queued_then_started_on_another_node() -> None:
    events = recorded((QUEUED, e(pipeline_id="pl", step_id="s")), (STARTED, e(attempt=1)))
    row = folded(ExecutionHistoryProjection(), events[:1])["e"]
    assert (row.status, row.queued_at, row.started_at, row.attempt) == ("queued", at(1), None, 0)
    row = folded(ExecutionHistoryProjection(), events)["e"]
    assert (row.status, row.queued_at, row.started_at, row.attempt) == ("running", at(1), at(2), 1)
    assert (row.pipeline_id, row.step_id) == ("pl", "s")


def test_each_attempt_is_the_same_execution_with_a_deadline_of_its_own() -> None:
    row = history((STARTED, e(timeout_seconds=10)), (STARTED, e(timeout_seconds=10)), (STARTED, e(attempt=7)))
    assert (row.position, row.attempt, row.started_at, row.deadline) == (1, 7, at(3), None)
    row = history((STARTED, e(timeout_seconds=10)), (STARTED, e(timeout_seconds=10)))
    assert (row.attempt, row.deadline) == (2, at(12))


def test_an_execution_that_ended_stays_as_it_ended() -> None:
    ended = history((STARTED, e()), (FAILED, e(reason="node_lost", error="gone")))
    assert ended == history(
        (STARTED, e()), (FAILED, e(reason="node_lost", error="gone")), (STARTED, e()), (COMPLETED, e(success=True))
    )


@pytest.mark.parametrize(
    "data",
    [
        {}, {"execution_id": None}, {"execution_id": 7}, {"execution_id": ""}, {"execution_id": ["e"]},
    ],
)  # fmt: skip
def test_events_without_an_execution_are_passed_over(data: dict[str, Any]) -> None:
    assert folded(ExecutionHistoryProjection(), recorded((STARTED, data), ("PluginEnabled", e()))) == {}


def test_strangers_are_passed_over() -> None:
    assert folded(ExecutionHistoryProjection(), recorded(NewEvent(STARTED, "p", "Impostor", e()))) == {}


@pytest.mark.parametrize("odd", [None, True, -1, "long", [], {}, 10**400, float("inf"), float("nan")])
def test_odd_data_does_not_stop_the_fold(odd: Any) -> None:
    row = history(
        (QUEUED, e(operation=odd, pipeline_id=odd, step_id=odd)),
        (STARTED, e(timeout_seconds=odd, attempt=odd)),
        (FAILED, e(reason=odd, error=odd, execution_time_ms=odd, cpu_ms=odd, peak_memory_bytes=odd)),
        metadata={"node_id": odd, "user_id": odd, "correlation_id": odd},
    )
    assert (row.status, row.deadline, row.duration_ms) == ("failed", None, None)
    assert (row.cpu_ms, row.peak_memory_bytes) == (None, None)
    assert row.attempt in (1, 2)
