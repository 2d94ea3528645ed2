"""The read model system_metrics through the port SystemMetrics."""

from typing import Final

from flexcore.application.projections.freshness import Freshness
from flexcore.application.read_models.system_metrics import SystemMetricsProjection, SystemRow
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.read_model_table import table_of

_PROJECTION: Final = SystemMetricsProjection()
_TABLE: Final = table_of(_PROJECTION)

_READ: Final = f"SELECT {_TABLE.list} FROM {_TABLE.live}"  # noqa: S608 - names of ours


class PostgresSystemMetrics:
    """Every question first waits for what was recorded before it."""

    def __init__(self, database: Database, freshness: Freshness) -> None:
        self._database = database
        self._freshness = freshness

    async def read(self) -> SystemRow:
        """Return the counters; raises Unavailable."""
        await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection:
            record = await connection.fetchrow(_READ)
        return SystemRow() if record is None else _TABLE.of(record)
