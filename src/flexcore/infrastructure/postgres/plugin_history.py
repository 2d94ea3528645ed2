"""What the event log says about plugins, through the port PluginHistory."""

from flexcore.domain.events import PLUGIN_AGGREGATE, PLUGIN_LIFECYCLE, RecordedEvent
from flexcore.domain.upcasting import UPCASTERS
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import EVENT_COLUMNS, recorded_event

_LIFECYCLE = f"""
SELECT {EVENT_COLUMNS} FROM events
WHERE aggregate_type = $1 AND type = ANY($2) AND ($3::text IS NULL OR aggregate_id = $3)
ORDER BY position
"""  # noqa: S608 - a fixed list of columns

_STREAM_VERSION = "SELECT coalesce(max(version), 0) FROM events WHERE aggregate_type = $1 AND aggregate_id = $2"


class PostgresPluginHistory:
    """Reads the log itself, so that what was just recorded is there, whatever the read models are busy with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lifecycle(self, plugin_id: str | None = None) -> list[RecordedEvent]:
        """Lifecycle events, oldest first: of one plugin, or of all; raises Unavailable."""
        async with self._database.session() as connection:
            types = [event_type.value for event_type in PLUGIN_LIFECYCLE]
            rows = await connection.fetch(_LIFECYCLE, PLUGIN_AGGREGATE, types, plugin_id)
        return UPCASTERS.upcast([recorded_event(row) for row in rows])

    async def stream_version(self, plugin_id: str) -> int:
        """Version of the plugin's stream, 0 if it has none; raises Unavailable."""
        async with self._database.session() as connection:
            return int(await connection.fetchval(_STREAM_VERSION, PLUGIN_AGGREGATE, plugin_id))
