"""What is kept of executions beside their events."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.execution_results import KeptResult
from flexcore.application.ports import Job, PluginResult
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.execution_records import (
    PostgresCancelRequests,
    PostgresExecutionQueue,
    PostgresResults,
)
from tests.servers import PostgresServer

pytestmark = pytest.mark.anyio

HOUR = 3600.0


@pytest.mark.parametrize("data", [None, {"a\0b": [1, 2.5, "ü", {"deep": True}]}, json.loads("[" * 500 + "]" * 500)])
async def test_an_answer_comes_back_as_it_was_given(database: Database, data: Any) -> None:
    results = PostgresResults(database, max_bytes=10_000)
    assert await results.find("e", 1) is None
    await results.keep("e", 1, PluginResult(True, data))
    await results.keep("e", 1, PluginResult(True, "late"))
    await results.keep("e", 2, PluginResult(True, "another attempt"))
    kept = await results.find("e", 1)
    assert kept is not None
    assert (kept.kept, kept.data) == (True, data)


async def test_of_a_large_answer_only_its_size_is_kept(database: Database) -> None:
    results = PostgresResults(database, max_bytes=10)
    await results.keep("e", 1, PluginResult(True, "x" * 8))
    await results.keep("e", 2, PluginResult(True, "x" * 9))
    assert await results.find("e", 1) == KeptResult(10, kept=True, data="x" * 8)
    assert await results.find("e", 2) == KeptResult(11, kept=False)


async def test_answers_and_wishes_are_forgotten_after_their_time(
    database: Database, postgres_server: PostgresServer, database_name: str
) -> None:
    results, requests = PostgresResults(database, max_bytes=100), PostgresCancelRequests(database)
    for name in ("old", "new"):
        await results.keep(name, 1, PluginResult(True, name))
        await requests.add(name)
        await requests.add(name)
    with postgres_server.connect(database=database_name) as connection:
        connection.execute("UPDATE execution_results SET stored_at = now() - interval '3 h' WHERE execution_id = 'old'")
        connection.execute(
            "UPDATE execution_cancellations SET requested_at = now() - interval '2 d' WHERE execution_id = 'old'"
        )
    await PostgresExecutionQueue(database, keep_seconds=2 * HOUR).forget()
    assert await results.find("old", 1) is None
    assert await results.find("new", 1) is not None
    assert await requests.among(["old", "new", "other"]) == {"new"}


async def test_the_queue_knows_its_executions_and_the_time(database: Database, store: PostgresEventStore) -> None:
    queue = PostgresExecutionQueue(database, keep_seconds=HOUR)
    jobs = [Job("run_execution", {"execution_id": "mine"}), Job("run_step", {"execution_id": "not-mine"})]
    await Events(store, lambda: "").append([], jobs=jobs)
    assert await queue.queued(["mine", "not-mine", "other"]) == {"mine"}
    assert await queue.queued([]) == set()
    assert abs(await queue.now() - datetime.now(UTC)) < timedelta(minutes=1)
