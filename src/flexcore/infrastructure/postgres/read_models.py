"""The read models of one node: the ports to ask them, and what keeps them up to date."""

from flexcore.application.background import Background
from flexcore.application.ports import Leadership, LiveChannel
from flexcore.application.projections.freshness import Freshness
from flexcore.application.projections.lag import ProjectionLag
from flexcore.application.projections.ports import EventFeed
from flexcore.application.projections.projector import Projector
from flexcore.application.read_models.catalogue import PROJECTIONS
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.execution_history import PostgresExecutionHistory
from flexcore.infrastructure.postgres.pipeline_status import PostgresPipelineList
from flexcore.infrastructure.postgres.plugin_inventory import PostgresPluginInventory
from flexcore.infrastructure.postgres.projections import PostgresProjections
from flexcore.infrastructure.postgres.system_metrics import PostgresSystemMetrics


class ReadModels:
    """Every node answers from them; the leader keeps them up to date."""

    def __init__(self, database: Database, feed: EventFeed, channel: LiveChannel, leadership: Leadership) -> None:
        store = PostgresProjections(database)
        projector = Projector(PROJECTIONS.values(), feed, store)
        freshness = Freshness(feed, store, lambda: channel.publish("projections"))
        channel.subscribe("events", lambda _: projector.wake())
        channel.subscribe("projections", lambda _: projector.nudge())
        leadership.run_while_leading("projections", projector.run)
        self._freshness = freshness
        self._background = Background()
        self.lag = ProjectionLag(feed, store)
        self.executions = PostgresExecutionHistory(database, freshness)
        self.pipelines = PostgresPipelineList(database, freshness)
        self.plugins = PostgresPluginInventory(database, freshness)
        self.system = PostgresSystemMetrics(database, freshness)

    def start(self) -> None:
        """Begin to look how far they are; the projector begins with the leader's term."""
        self._background.run("projection lag", self.lag.watch)

    async def close(self) -> None:
        """Stop; what was written stays, and whoever leads next goes on from there."""
        await self._background.close()
        await self._freshness.close()
