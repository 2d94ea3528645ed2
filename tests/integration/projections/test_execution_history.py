"""Asking the read model execution_history."""

from datetime import timedelta

import pytest

from flexcore.application.events import Events
from flexcore.application.projections.projector import Projector
from flexcore.application.read_models.execution_history import ExecutionQuery, ExecutionStatus
from flexcore.domain.errors import InvalidInput, Unavailable
from flexcore.infrastructure.postgres.execution_history import PostgresExecutionHistory
from tests.integration.projections.conftest import running
from tests.integration.projections.executions import execute, record

pytestmark = pytest.mark.anyio


async def test_pages_are_newest_first_filtered_and_without_gap_or_repeat(
    events: Events, history: PostgresExecutionHistory, projector: Projector
) -> None:
    async with running(projector):
        await execute(events, 7, "one")
        await execute(events, 5, "two")

        async def found(**filters: object) -> list[int]:
            positions, cursor = [], None
            while True:
                page = await history.page(ExecutionQuery(limit=2, cursor=cursor, **filters))  # type: ignore[arg-type]
                positions += [row.position for row in page.executions]
                cursor = page.next_cursor
                assert (cursor is not None) == page.has_more
                if cursor is None:
                    return positions

        starts = list(range(34, 0, -3))
        assert await found() == starts
        assert await found(plugin_id="one") == starts[5:]
        assert await found(status=ExecutionStatus.TIMED_OUT) == [28, 16, 7]
        assert await found(plugin_id="two", status=ExecutionStatus.TIMED_OUT) == [28]
        assert await found(plugin_id="three") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (ExecutionQuery(limit=0), "limit"),
        (ExecutionQuery(limit=201), "limit"),
        (ExecutionQuery(cursor="x"), "cursor"),
        (ExecutionQuery(cursor="ZXZlbnRzOjE"), "cursor"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    history: PostgresExecutionHistory, query: ExecutionQuery, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await history.page(query)
    assert [error.field for error in caught.value.errors] == [field]


async def test_one_execution(events: Events, history: PostgresExecutionHistory, projector: Projector) -> None:
    async with running(projector):
        execution = record()
        assert await history.get(execution.execution_id) is None
        await events.append([execution.started(30), execution.completed(success=False, execution_time_ms=3)])
        row = await history.get(execution.execution_id)
        assert row is not None
        assert (row.status, row.success, row.duration_ms, row.plugin_id) == ("completed", False, 3.0, "p")


async def test_overdue_executions(events: Events, history: PostgresExecutionHistory, projector: Projector) -> None:
    late, later, ended, patient = record(), record(), record(), record()
    async with running(projector):
        appended = await events.append([
            late.started(1), later.started(2), ended.started(1), patient.started(300),
            ended.completed(success=True, execution_time_ms=1),
        ])  # fmt: skip
        first = appended.events[0]
        found = await history.overdue(first.timestamp + timedelta(seconds=60))
        assert [row.execution_id for row in found] == [late.execution_id, later.execution_id]
        assert await history.overdue(first.timestamp) == []


async def test_what_may_only_be_late_is_not_said_to_be_missing(
    events: Events, history: PostgresExecutionHistory, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(projector):
        await execute(events, 1, "one")
        (row,) = (await history.page(ExecutionQuery())).executions

    async def behind(projection: object) -> bool:
        return False

    monkeypatch.setattr(history._freshness, "reach", behind)
    assert await history.get(row.execution_id) == row
    with pytest.raises(Unavailable, match="behind the event log"):
        await history.get("another")
