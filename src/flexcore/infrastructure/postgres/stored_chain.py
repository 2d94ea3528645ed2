"""The events table through the port StoredChain."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final

from flexcore.application.verification import StoredLink
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.postgres.database import Database

_HEAD: Final = "SELECT coalesce(max(position), 0) FROM events"
_HASH: Final = "SELECT hash FROM events WHERE position = $1"
_LINKS: Final = """
SELECT position, id::text, version, recorded_at, type, aggregate_type, aggregate_id, data, metadata, hash
FROM events WHERE position >= $1 AND position <= $2 ORDER BY position LIMIT $3
"""


class PostgresStoredChain:
    """Reads `page` events at a time: many are quicker, few hold the process up for less long."""

    def __init__(self, database: Database, *, page: int) -> None:
        self._database = database
        self._page = page

    async def head(self) -> int:
        """Return the last position; raises Unavailable."""
        async with self._database.session() as connection:
            return int(await connection.fetchval(_HEAD))

    async def hash_at(self, position: int) -> bytes | None:
        """Return one event's stored hash; raises Unavailable."""
        async with self._database.session() as connection:
            stored: bytes | None = await connection.fetchval(_HASH, position)
            return stored

    async def links(self, first: int, last: int) -> AsyncGenerator[Sequence[StoredLink], None]:
        """Give the events from `first` to `last` in pages, and read the next page while one is looked at."""
        reading = asyncio.create_task(self._read(first, last))
        try:
            while rows := await reading:
                reading = asyncio.create_task(self._read(rows[-1][0] + 1, last))
                # Give PostgreSQL its next question before the answer to the last one is looked at.
                await asyncio.sleep(0)
                yield rows
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, Unavailable):
                await reading

    async def _read(self, first: int, last: int) -> list[StoredLink]:
        if first > last:
            return []
        async with self._database.session() as connection:
            rows: list[StoredLink] = await connection.fetch(_LINKS, first, last, self._page)
            return rows
