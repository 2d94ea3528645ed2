"""What the event log says about plugins, through the port PluginHistory."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from flexcore.application.ports import ExecutionStatistics
from flexcore.domain.events import PLUGIN_AGGREGATE, PLUGIN_LIFECYCLE, PluginEvent, RecordedEvent
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import EVENT_COLUMNS, recorded_event

# So many positions are summed up in one statement, which keeps each far below its time limit.
CHUNK_POSITIONS: Final = 100_000

_LIFECYCLE = f"""
SELECT {EVENT_COLUMNS} FROM events
WHERE aggregate_type = $1 AND type = ANY($2) AND ($3::text IS NULL OR aggregate_id = $3)
ORDER BY position
"""  # noqa: S608 - a fixed list of columns

_STREAM_VERSION = "SELECT coalesce(max(version), 0) FROM events WHERE aggregate_type = $1 AND aggregate_id = $2"

_EXECUTIONS = f"""
WITH executions AS (
    SELECT aggregate_id, position, recorded_at,
           type = '{PluginEvent.EXECUTION_STARTED}' AS started,
           type = '{PluginEvent.EXECUTION_COMPLETED}'
               AND data::jsonb->'success' IS NOT DISTINCT FROM 'true' AS successful,
           CASE jsonb_typeof(data::jsonb->'execution_time_ms')
               WHEN 'number' THEN (data::jsonb->>'execution_time_ms')::float8
           END AS duration_ms
    FROM events
    WHERE type = ANY($1) AND aggregate_type = $2 AND position > $3 AND position <= $4
)
SELECT aggregate_id,
       count(*) FILTER (WHERE started) AS total,
       count(*) FILTER (WHERE successful) AS successful,
       count(*) FILTER (WHERE NOT started AND NOT successful) AS failed,
       coalesce(sum(duration_ms) FILTER (WHERE NOT started), 0) AS duration_ms,
       max(recorded_at) FILTER (WHERE started) AS last_execution,
       (array_agg(successful ORDER BY position DESC) FILTER (WHERE NOT started))[1] AS last_successful
FROM executions GROUP BY aggregate_id
"""  # noqa: S608 - the names of event types

_EXECUTION_TYPES = [
    PluginEvent.EXECUTION_STARTED.value,
    PluginEvent.EXECUTION_COMPLETED.value,
    PluginEvent.EXECUTION_FAILED.value,
]


@dataclass(slots=True)
class _Sums:
    """A plugin's executions up to the position that was read so far."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    duration_ms: float = 0.0
    last_execution: datetime | None = None
    last_failed: bool = False

    def add(self, row: asyncpg.Record) -> None:
        self.total += row["total"]
        self.successful += row["successful"]
        self.failed += row["failed"]
        self.duration_ms += row["duration_ms"]
        self.last_execution = row["last_execution"] or self.last_execution
        if row["last_successful"] is not None:
            self.last_failed = not row["last_successful"]

    def statistics(self) -> ExecutionStatistics:
        finished = self.successful + self.failed
        return ExecutionStatistics(
            total=self.total,
            successful=self.successful,
            failed=self.failed,
            average_duration_ms=round(self.duration_ms / finished, 3) if finished else None,
            last_execution=self.last_execution,
            last_failed=self.last_failed,
        )


class PostgresPluginHistory:
    """Reads the log itself, so every node gives the same answer.

    Executions are summed up by SQL. The sums are kept, and each question adds only what was appended since: its
    cost follows the new events, not the length of the log.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sums: dict[str, _Sums] = {}
        self._position = 0
        self._summing = asyncio.Lock()

    async def lifecycle(self, plugin_id: str | None = None) -> list[RecordedEvent]:
        """Lifecycle events, oldest first: of one plugin, or of all; raises Unavailable."""
        async with self._database.session() as connection:
            types = [event_type.value for event_type in PLUGIN_LIFECYCLE]
            rows = await connection.fetch(_LIFECYCLE, PLUGIN_AGGREGATE, types, plugin_id)
        return [recorded_event(row) for row in rows]

    async def stream_version(self, plugin_id: str) -> int:
        """Version of the plugin's stream, 0 if it has none; raises Unavailable."""
        async with self._database.session() as connection:
            return int(await connection.fetchval(_STREAM_VERSION, PLUGIN_AGGREGATE, plugin_id))

    async def statistics(self, plugin_ids: Iterable[str]) -> Mapping[str, ExecutionStatistics]:
        """Count and time the executions of each of `plugin_ids`; raises Unavailable."""
        async with self._summing:
            await self._catch_up()
            return {plugin_id: self._sums.get(plugin_id, _Sums()).statistics() for plugin_id in plugin_ids}

    async def _catch_up(self) -> None:
        head = await self._head()
        while self._position < head:
            upper = min(head, self._position + CHUNK_POSITIONS)
            async with self._database.session() as connection:
                rows = await connection.fetch(_EXECUTIONS, _EXECUTION_TYPES, PLUGIN_AGGREGATE, self._position, upper)
            for row in rows:
                self._sums.setdefault(row["aggregate_id"], _Sums()).add(row)
            self._position = upper

    async def _head(self) -> int:
        async with self._database.session() as connection:
            return int(await connection.fetchval("SELECT coalesce(max(position), 0) FROM events"))
