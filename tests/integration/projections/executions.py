"""Executions for the log, and what the history has to say of them."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flexcore.application.events import Events
from flexcore.application.projections.projection import by_row, fold
from flexcore.application.read_models.execution_history import ExecutionHistoryProjection
from flexcore.domain.events import NewEvent, RecordedEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.infrastructure.postgres.database import Database

STRANGER = NewEvent("SomethingElse", "s", "Stranger")


def record(plugin_id: str = "p") -> ExecutionRecord:
    return ExecutionRecord(str(uuid.uuid4()), plugin_id, "run", {"node_id": "node1", "correlation_id": "c"})


async def execute(events: Events, number: int, plugin_id: str = "p") -> list[RecordedEvent]:
    """Record `number` executions, of which every third fails, among events of others."""
    found: list[NewEvent] = []
    for index in range(number):
        execution = record(plugin_id)
        end = (
            execution.failed(FailureReason.TIMED_OUT, "too slow", 5)
            if index % 3 == 2
            else execution.completed(success=True, execution_time_ms=index)
        )
        found += [execution.started(30), STRANGER, end]
    return list((await events.append(found)).events)


def expected(events: Sequence[RecordedEvent]) -> list[dict[str, Any]]:
    """Fold `events` in memory."""
    projection = ExecutionHistoryProjection()
    return in_order([asdict(row) for row in fold(projection, {}, by_row(projection, events)).values()])


async def rows(database: Database, table: str = "execution_history") -> list[dict[str, Any]]:
    """Read the rows of the live generation, and see that no other has any."""
    async with database.session() as connection:
        live = await connection.fetchval(
            "SELECT generation FROM projections WHERE name = $1 AND status = 'live'", table
        )
        found = [dict(record) for record in await connection.fetch(f"SELECT * FROM {table}")]  # noqa: S608
    assert {record.pop("generation") for record in found} <= {live}, "rows of generations that are gone stay behind"
    return in_order(found)


def in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: str(next(iter(row.values()))))
