"""The event store's table through the port EventStore."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from flexcore.application.ports import EventQuery
from flexcore.domain.errors import VersionConflict
from flexcore.domain.events import NewEvent, RecordedEvent
from flexcore.infrastructure.postgres.database import Database

# Raised by the SQL function append_events.
VERSION_CONFLICT_STATE = "FC409"

_APPEND = """
SELECT event_position, event_version, event_recorded_at
FROM append_events($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::bigint[])
"""
EVENT_COLUMNS = "id, position, type, aggregate_id, aggregate_type, version, data, metadata, recorded_at"


class PostgresEventStore:
    """Appends by one SQL function in one round trip; a client that hangs can't hold the log's lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, events: Sequence[tuple[str, NewEvent]]) -> list[RecordedEvent]:
        """Record `events`, given with their ids, all or none.

        Raises VersionConflict, Unavailable.
        """
        columns = (
            [event_id for event_id, _ in events],
            [event.type for _, event in events],
            [event.aggregate_type for _, event in events],
            [event.aggregate_id for _, event in events],
            [_json(event.data) for _, event in events],
            [_json(event.metadata) for _, event in events],
            [event.expected_version for _, event in events],
        )
        async with self._database.session() as connection:
            try:
                rows = await connection.fetch(_APPEND, *columns)
            except asyncpg.PostgresError as error:
                if error.sqlstate == VERSION_CONFLICT_STATE:
                    raise VersionConflict(error.args[0]) from error
                raise
        return [
            RecordedEvent(
                id=event_id,
                position=row["event_position"],
                type=event.type,
                aggregate_id=event.aggregate_id,
                aggregate_type=event.aggregate_type,
                version=row["event_version"],
                data=event.data,
                metadata=event.metadata,
                timestamp=row["event_recorded_at"],
            )
            for (event_id, event), row in zip(events, rows, strict=True)
        ]

    async def read(self, query: EventQuery, after_position: int) -> list[RecordedEvent]:
        """At most `query.limit` events after a position, oldest first; raises Unavailable."""
        conditions = ["position > $1"]
        arguments: list[Any] = [after_position]
        for condition, value in (
            ("aggregate_id =", query.aggregate_id),
            ("aggregate_type =", query.aggregate_type),
            ("type =", query.event_type),
            ("recorded_at >=", query.from_timestamp),
            ("recorded_at <", query.to_timestamp),
        ):
            if value is not None:
                arguments.append(value)
                conditions.append(f"{condition} ${len(arguments)}")
        arguments.append(query.limit)
        statement = (
            f"SELECT {EVENT_COLUMNS} FROM events WHERE {' AND '.join(conditions)} "  # noqa: S608 - fixed fragments
            f"ORDER BY position LIMIT ${len(arguments)}"
        )
        async with self._database.session() as connection:
            rows = await connection.fetch(statement, *arguments)
        return [recorded_event(row) for row in rows]

    async def count(self) -> int:
        """Positions have no gaps, so the last one is the count; raises Unavailable."""
        async with self._database.session() as connection:
            return int(await connection.fetchval("SELECT coalesce(max(position), 0) FROM events"))


def recorded_event(row: asyncpg.Record) -> RecordedEvent:
    """Build the event from a row of EVENT_COLUMNS."""
    return RecordedEvent(
        id=str(row["id"]),
        position=row["position"],
        type=row["type"],
        aggregate_id=row["aggregate_id"],
        aggregate_type=row["aggregate_type"],
        version=row["version"],
        data=msgspec.json.decode(row["data"]),
        metadata=msgspec.json.decode(row["metadata"]),
        timestamp=row["recorded_at"],
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
