"""The tables of the event log and of the audit trail through the port StoredChain."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final, Literal

from flexcore.application.verification import StoredLink
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.postgres.database import Database

_HEAD: Final = "SELECT coalesce(max(position), 0) FROM {table}"
_HASH: Final = "SELECT hash FROM {table} WHERE position = $1"
_LINKS: Final = """
SELECT {content}, hash FROM {table} WHERE position >= $1 AND position <= $2 ORDER BY position LIMIT $3
"""
# What a hash covers, in the order of `flexcore.domain.chain`.
_CONTENT: Final = {
    "events": "position, id::text, version, recorded_at, type, aggregate_type, aggregate_id, data, metadata",
    "audit": "position, id::text, at, recorded_at, count, actor, action, target, outcome, detail, source, "
    "correlation_id, node_id",
}


class PostgresStoredChain:
    """Reads `page` entries of `table` at a time: many are quicker, few hold the process up for less long."""

    def __init__(self, database: Database, *, page: int, table: Literal["events", "audit"] = "events") -> None:
        self._database = database
        self._page = page
        self._head = _HEAD.format(table=table)
        self._hash = _HASH.format(table=table)
        self._links = _LINKS.format(table=table, content=_CONTENT[table])

    async def head(self) -> int:
        """Return the last position; raises Unavailable."""
        async with self._database.session() as connection:
            return int(await connection.fetchval(self._head))

    async def hash_at(self, position: int) -> bytes | None:
        """Return one entry's stored hash; raises Unavailable."""
        async with self._database.session() as connection:
            stored: bytes | None = await connection.fetchval(self._hash, position)
            return stored

    async def links(self, first: int, last: int) -> AsyncGenerator[Sequence[StoredLink], None]:
        """Give the entries from `first` to `last` in pages, and read the next page while one is looked at."""
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
            rows: list[StoredLink] = await connection.fetch(self._links, first, last, self._page)
            return rows
