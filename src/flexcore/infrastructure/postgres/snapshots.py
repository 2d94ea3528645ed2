"""Snapshots of long streams through the port Snapshots."""

from typing import Final

from flexcore.application.aggregates import Snapshot
from flexcore.infrastructure.postgres.database import Database

_NEWEST: Final = """
SELECT version, state FROM snapshots WHERE aggregate_type = $1 AND aggregate_id = $2 AND schema_version = $3
"""
# Two nodes may come at once, and the later one need not be the one that read further.
_KEEP: Final = """
INSERT INTO snapshots (aggregate_type, aggregate_id, schema_version, version, state) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (aggregate_type, aggregate_id, schema_version) DO UPDATE
SET version = excluded.version, state = excluded.state, taken_at = clock_timestamp()
WHERE snapshots.version < excluded.version
"""


class PostgresSnapshots:
    """One row for each aggregate and shape of its state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, aggregate_type: str, aggregate_id: str, schema_version: int) -> Snapshot | None:
        """Return the newest of a shape, if there is one; raises Unavailable."""
        async with self._database.session() as connection:
            record = await connection.fetchrow(_NEWEST, aggregate_type, aggregate_id, schema_version)
        if record is None:
            return None
        return Snapshot(aggregate_type, aggregate_id, record["version"], schema_version, record["state"])

    async def keep(self, snapshot: Snapshot) -> None:
        """Put it in the place of an older one; raises Unavailable."""
        async with self._database.session() as connection:
            await connection.execute(
                _KEEP,
                snapshot.aggregate_type,
                snapshot.aggregate_id,
                snapshot.schema_version,
                snapshot.version,
                snapshot.state,
            )
