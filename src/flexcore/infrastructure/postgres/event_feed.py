"""The event log in its order, through the port EventFeed."""

from collections.abc import Sequence
from typing import Final

from flexcore.domain.events import RecordedEvent
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import EVENT_COLUMNS, recorded_event

_HEAD: Final = "SELECT coalesce(max(position), 0) FROM events"
_FEED: Final = f"""
SELECT {EVENT_COLUMNS} FROM events
WHERE position > $1 AND position <= $2 AND ($3::text[] IS NULL OR aggregate_type = ANY($3)) ORDER BY position
"""  # noqa: S608 - a fixed list of columns


class PostgresEventFeed:
    """Reads the log by position."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def head(self) -> int:
        """Position of the newest event, 0 for an empty log; raises Unavailable."""
        async with self._database.session() as connection:
            return int(await connection.fetchval(_HEAD))

    async def feed(
        self, after_position: int, limit: int, aggregate_types: Sequence[str] | None = None
    ) -> list[RecordedEvent]:
        """Events of the `limit` positions after one, oldest first, only of some aggregate types if given.

        Raises Unavailable.
        """
        async with self._database.session() as connection:
            rows = await connection.fetch(_FEED, after_position, after_position + limit, aggregate_types)
        return [recorded_event(row) for row in rows]
