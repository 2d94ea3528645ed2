"""Job engines of several nodes in this process, over one real queue."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from flexcore.application.jobs import Tasks
from flexcore.infrastructure.jobs.engine import JobEngine
from flexcore.infrastructure.postgres.access import PostgresAccess
from tests.servers import PostgresServer


class Queue:
    """The queue as the database has it."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self._server = server
        self._database = database

    def put(self, task: str, *, lock: str | None = None, **arguments: Any) -> int:
        """Queue a job, as the event store's append does."""
        job = {"queue_name": task, "task_name": task, "priority": 0, "lock": lock, "args": arguments}
        (row,) = self.ask(
            "SELECT procrastinate_defer_jobs_v1("
            "ARRAY[jsonb_populate_record(NULL::procrastinate_job_to_defer_v1, %s::jsonb)])",
            json.dumps(job),
        )
        return int(row[0][0])

    def ask(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        with self._server.connect(database=self._database) as connection:
            cursor = connection.execute(statement, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def statuses(self) -> list[str]:
        """The status of every job there is, oldest first."""
        return [row[0] for row in self.ask("SELECT status::text FROM procrastinate_jobs ORDER BY id")]

    def empty(self) -> bool:
        """Whether every job is done."""
        try:
            return self.statuses() == []
        except psycopg.OperationalError:
            return False


@pytest.fixture
def queue(postgres_server: PostgresServer, database_name: str) -> Queue:
    """An empty queue."""
    return Queue(postgres_server, database_name)


@pytest.fixture
async def engine(runtime_access: PostgresAccess) -> AsyncIterator[Callable[..., Any]]:
    """Start an engine with these handlers; all are closed after the test."""
    async with AsyncExitStack() as stack:

        async def start(
            node_id: str = "node1",
            *,
            concurrency: int = 4,
            may_take: Callable[[], bool] = lambda: True,
            **handlers: Any,
        ) -> JobEngine:
            tasks = Tasks()
            for name, handler in handlers.items():
                tasks.register(name, handler)
            engine = JobEngine(runtime_access, node_id=node_id, tasks=tasks, concurrency=concurrency, may_take=may_take)
            stack.push_async_callback(engine.close)
            await engine.start()
            return engine

        yield start
