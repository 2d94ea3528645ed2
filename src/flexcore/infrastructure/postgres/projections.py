"""The generations of the read models through the port ProjectionStore."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from flexcore.application.projections.ports import Generation, GenerationStatus, Superseded
from flexcore.application.projections.projection import Projection, Row
from flexcore.infrastructure.postgres.database import Connection, Database
from flexcore.infrastructure.postgres.leadership import check_leadership
from flexcore.infrastructure.postgres.read_model_table import ReadModelTable, table_of

DELETE_ROWS: Final = 20_000

_COLUMNS = (
    "name, generation, version, status, position, failure, "
    "extract(epoch FROM clock_timestamp() - updated_at)::float8 AS idle_seconds"
)
_ALL = f"SELECT {_COLUMNS} FROM projections ORDER BY name, generation"  # noqa: S608 - a fixed list
_LIVE = f"SELECT {_COLUMNS} FROM projections WHERE name = $1 AND status = 'live'"  # noqa: S608 - a fixed list
_BEGIN = f"""
INSERT INTO projections (name, version, status) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - a fixed list
# Takes the row's lock until the commit: of two that would move the same generation the second finds it moved.
_ADVANCE = f"""
UPDATE projections SET position = $4, updated_at = clock_timestamp(), failure = NULL
WHERE name = $1 AND generation = $2 AND position = $3 AND status <> 'retired' RETURNING {_COLUMNS}
"""  # noqa: S608 - a fixed list
_FAIL = "UPDATE projections SET failure = $3 WHERE name = $1 AND generation = $2"
_LOCK = "SELECT generation, status, position FROM projections WHERE name = $1 ORDER BY generation FOR UPDATE"
_STATUS = "UPDATE projections SET status = $3 WHERE name = $1 AND generation = $2"
_FORGET = "DELETE FROM projections WHERE name = $1 AND generation = $2"
_FRESHNESS = """
SELECT coalesce((
    SELECT max(newest.position) FROM unnest($2::text[]) AS wanted (type), LATERAL (
        SELECT position FROM events WHERE events.type = wanted.type ORDER BY position DESC LIMIT 1
    ) AS newest
), 0) AS target, coalesce((SELECT position FROM projections WHERE name = $1 AND status = 'live'), 0) AS position
"""


class PostgresProjections:
    """Each read model has a table for the rows of all its generations, and one row in `projections` per generation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def generations(self) -> list[Generation]:
        """All there are, by name and number; raises Unavailable."""
        async with self._database.session() as connection:
            return [_generation(record) for record in await connection.fetch(_ALL)]

    async def live(self, projection: Projection[Any]) -> Generation:
        """Return the generation that answers queries, made if there is none; raises Unavailable."""
        async with self._database.session() as connection:
            while True:
                record = await connection.fetchrow(_LIVE, projection.name)
                if record is not None:
                    return _generation(record)
                await connection.fetchrow(_BEGIN, projection.name, projection.version, GenerationStatus.LIVE.value)

    async def begin(self, projection: Projection[Any]) -> Generation:
        """Start a new generation at position 0; raises Superseded, Unavailable."""
        async with self._database.session() as connection:
            record = await connection.fetchrow(
                _BEGIN, projection.name, projection.version, GenerationStatus.BUILDING.value
            )
        if record is None:
            raise Superseded(f"another build of {projection.name} has begun")
        return _generation(record)

    async def rows(self, projection: Projection[Row], generation: Generation, keys: Iterable[str]) -> dict[str, Row]:
        """Those of the rows that exist, by key; raises Unavailable."""
        async with self._database.session() as connection:
            return await table_of(projection).read(connection, generation.number, keys)

    async def advance(
        self,
        projection: Projection[Row],
        generation: Generation,
        position: int,
        *,
        new: Mapping[str, Row],
        changed: Mapping[str, Row],
        token: int | None = None,
    ) -> Generation:
        """Write rows and position in one transaction; raises Superseded, LeadershipLost, Unavailable."""
        table = table_of(projection)
        async with self._transaction(token) as connection:
            record = await connection.fetchrow(
                _ADVANCE, generation.name, generation.number, generation.position, position
            )
            if record is None:
                raise Superseded(f"{generation.name} is not at position {generation.position} any more")
            if new:
                await table.insert(connection, generation.number, new)
            if changed:
                await table.update(connection, generation.number, changed)
        return _generation(record)

    async def fail(self, generation: Generation, failure: str) -> None:
        """Note why the generation can't go on; raises Unavailable."""
        async with self._database.session() as connection:
            await connection.execute(_FAIL, generation.name, generation.number, failure)

    async def promote(self, generation: Generation, token: int | None = None) -> bool:
        """Let a building generation answer queries; False while it is behind the live one.

        Raises Superseded, LeadershipLost, Unavailable.
        """
        async with self._transaction(token) as connection:
            records = await connection.fetch(_LOCK, generation.name)
            mine = [record for record in records if record["generation"] == generation.number]
            live = [record for record in records if record["status"] == GenerationStatus.LIVE]
            if not mine or mine[0]["status"] != GenerationStatus.BUILDING:
                raise Superseded(f"generation {generation.number} of {generation.name} is not being built any more")
            for record in live:
                if mine[0]["position"] < record["position"]:
                    return False
                await connection.execute(_STATUS, generation.name, record["generation"], GenerationStatus.RETIRED.value)
            await connection.execute(_STATUS, generation.name, generation.number, GenerationStatus.LIVE.value)
        return True

    async def discard(self, generation: Generation) -> None:
        """Delete a generation that does not answer queries, with its rows; raises Superseded, Unavailable."""
        async with self._transaction(None) as connection:
            records = await connection.fetch(_LOCK, generation.name)
            if any(
                record["generation"] == generation.number and record["status"] == GenerationStatus.LIVE
                for record in records
            ):
                raise Superseded(f"generation {generation.number} of {generation.name} answers queries now")
            # From here on nobody adds rows to it.
            await connection.execute(_STATUS, generation.name, generation.number, GenerationStatus.RETIRED.value)
        while await self._delete_some(generation) == DELETE_ROWS:
            pass
        async with self._database.session() as connection:
            await connection.execute(_FORGET, generation.name, generation.number)

    async def freshness(self, projection: Projection[Any]) -> tuple[int, int]:
        """Position of the newest event that matters, and the position that was reached; raises Unavailable."""
        async with self._database.session() as connection:
            record = await connection.fetchrow(_FRESHNESS, projection.name, list(projection.event_types))
        return record["target"], record["position"]

    async def _delete_some(self, generation: Generation) -> int:
        async with self._database.session() as connection:
            return await ReadModelTable.delete_from(connection, generation.name, generation.number, DELETE_ROWS)

    @asynccontextmanager
    async def _transaction(self, token: int | None) -> AsyncIterator[Connection]:
        async with self._database.session() as connection, connection.transaction():
            if token is not None:
                await check_leadership(connection, token)
            yield connection


def _generation(record: asyncpg.Record) -> Generation:
    return Generation(
        name=record["name"],
        number=record["generation"],
        version=record["version"],
        status=GenerationStatus(record["status"]),
        position=record["position"],
        idle_seconds=record["idle_seconds"],
        failure=record["failure"],
    )
