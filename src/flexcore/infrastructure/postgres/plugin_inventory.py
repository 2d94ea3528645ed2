"""The read model plugin_inventory through the port PluginInventory."""

from collections.abc import Iterable, Mapping
from typing import Final

from flexcore.application.ports import ExecutionStatistics
from flexcore.application.projections.freshness import Freshness
from flexcore.application.read_models.plugin_inventory import PluginInventoryProjection, PluginRow, statistics_of
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.read_model_table import table_of

_PROJECTION: Final = PluginInventoryProjection()
_TABLE: Final = table_of(_PROJECTION)

_SOME: Final = f"SELECT {_TABLE.list} FROM {_TABLE.live} AND plugin_id = ANY($1)"  # noqa: S608 - names of ours
_ACTIVE: Final = f"SELECT {_TABLE.list} FROM {_TABLE.live} AND enabled ORDER BY plugin_id"  # noqa: S608 - names of ours


class PostgresPluginInventory:
    """Every question first waits for what was recorded before it."""

    def __init__(self, database: Database, freshness: Freshness) -> None:
        self._database = database
        self._freshness = freshness

    async def active(self) -> list[PluginRow]:
        """Plugins that are registered and enabled, ordered by id; raises Unavailable."""
        await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection:
            return [_TABLE.of(record) for record in await connection.fetch(_ACTIVE)]

    async def statistics(self, plugin_ids: Iterable[str]) -> Mapping[str, ExecutionStatistics]:
        """Count and time the executions of each of `plugin_ids`; raises Unavailable."""
        wanted = list(plugin_ids)
        await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection:
            rows = [_TABLE.of(record) for record in await connection.fetch(_SOME, wanted)]
        found = {row.plugin_id: statistics_of(row) for row in rows}
        return {plugin_id: found.get(plugin_id, ExecutionStatistics()) for plugin_id in wanted}
