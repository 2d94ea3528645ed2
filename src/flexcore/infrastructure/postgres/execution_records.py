"""What is kept of executions beside their events: answers, wishes to cancel, and their jobs."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec

from flexcore.application.execution_results import KeptResult
from flexcore.application.ports import PluginResult
from flexcore.application.queued_executions import RUN_EXECUTION
from flexcore.infrastructure.postgres.database import Database

_KEEP: Final = """
INSERT INTO execution_results (execution_id, attempt, size, data) VALUES ($1, $2, $3, $4)
ON CONFLICT (execution_id, attempt) DO NOTHING
"""
_RESULT: Final = "SELECT size, data FROM execution_results WHERE execution_id = $1 AND attempt = $2"
_CANCEL: Final = "INSERT INTO execution_cancellations (execution_id) VALUES ($1) ON CONFLICT DO NOTHING"
_TO_CANCEL: Final = "SELECT execution_id FROM execution_cancellations WHERE execution_id = ANY($1)"
_QUEUED: Final = """
SELECT args->>'execution_id' FROM procrastinate_jobs WHERE task_name = $1 AND args->>'execution_id' = ANY($2)
"""
_FORGET_RESULTS: Final = """
DELETE FROM execution_results WHERE (execution_id, attempt) IN (
    SELECT execution_id, attempt FROM execution_results WHERE stored_at < now() - make_interval(secs => $1)
    ORDER BY stored_at LIMIT 1000
)
"""
_FORGET_CANCELLATIONS: Final = "DELETE FROM execution_cancellations WHERE requested_at < now() - interval '1 day'"


class PostgresResults:
    """Keeps answers of at most `max_bytes`."""

    def __init__(self, database: Database, *, max_bytes: int) -> None:
        self._database = database
        self._max_bytes = max_bytes

    async def keep(self, execution_id: str, attempt: int, result: PluginResult) -> None:
        """Keep the answer of one attempt, or its size alone if it is too large; raises Unavailable."""
        text = msgspec.json.encode(result.data)
        data = text.decode() if len(text) <= self._max_bytes else None
        async with self._database.session() as connection:
            await connection.execute(_KEEP, execution_id, attempt, len(text), data)

    async def find(self, execution_id: str, attempt: int) -> KeptResult | None:
        """Return the answer of one attempt, if one was kept and still is; raises Unavailable."""
        async with self._database.session() as connection:
            row = await connection.fetchrow(_RESULT, execution_id, attempt)
        if row is None:
            return None
        text: str | None = row["data"]
        return KeptResult(row["size"], text is not None, None if text is None else msgspec.json.decode(text))


class PostgresCancelRequests:
    """Wishes to end executions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, execution_id: str) -> None:
        """Keep the wish; raises Unavailable."""
        async with self._database.session() as connection:
            await connection.execute(_CANCEL, execution_id)

    async def among(self, execution_ids: Collection[str]) -> set[str]:
        """Return those of `execution_ids` that are to end; raises Unavailable."""
        return await _found(self._database, _TO_CANCEL, list(execution_ids))


class PostgresExecutionQueue:
    """What the sweep of orphaned executions asks; answers of plugins are forgotten after `keep_seconds`."""

    def __init__(self, database: Database, *, keep_seconds: float) -> None:
        self._database = database
        self._keep_seconds = keep_seconds

    async def now(self) -> datetime:
        """Return the database's time; raises Unavailable."""
        async with self._database.session() as connection:
            now: datetime = await connection.fetchval("SELECT now()")
        return now

    async def queued(self, execution_ids: Collection[str]) -> set[str]:
        """Return those of `execution_ids` for which there is a job; raises Unavailable."""
        if not execution_ids:
            return set()
        return await _found(self._database, _QUEUED, RUN_EXECUTION, list(execution_ids))

    async def forget(self) -> None:
        """Delete answers and wishes that are older than they are kept; raises Unavailable."""
        async with self._database.session() as connection:
            await connection.execute(_FORGET_RESULTS, self._keep_seconds)
            await connection.execute(_FORGET_CANCELLATIONS)


async def _found(database: Database, query: str, *arguments: Any) -> set[str]:
    async with database.session() as connection:
        return {row[0] for row in await connection.fetch(query, *arguments)}
