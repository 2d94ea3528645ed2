"""Everything about executions that reaches beyond one request and one node, joined."""

from typing import Final

from flexcore.application.admission import Admission
from flexcore.application.background import Background
from flexcore.application.cancellation import Cancellation
from flexcore.application.command_bus import CommandBus, CommandLog
from flexcore.application.events import Events
from flexcore.application.execution_ends import ExecutionEnds
from flexcore.application.execution_history import ExecutionDesk
from flexcore.application.executions import Executions
from flexcore.application.jobs import Tasks
from flexcore.application.orphans import OrphanSweep
from flexcore.application.plugin_executions import PluginExecutions
from flexcore.application.plugin_views import ExecutePlugin
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Clock, Leadership, LiveChannel, PluginRunner
from flexcore.application.queries import GetExecutionHistory
from flexcore.application.query_bus import QueryBus
from flexcore.application.queued_executions import RUN_EXECUTION, QueuedExecutions
from flexcore.application.read_models.execution_history import ExecutionHistory, ExecutionQuery
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.execution_records import (
    PostgresCancelRequests,
    PostgresExecutionQueue,
    PostgresResults,
)
from flexcore.infrastructure.postgres.receipts import PostgresReceipts

_HOUR_SECONDS: Final = 3600.0


class ExecutionServices:
    """The executions of this node, and what all nodes have in common about them."""

    def __init__(
        self,
        *,
        database: Database,
        events: Events,
        runner: PluginRunner,
        clock: Clock,
        node_id: str,
        admission: Admission,
        max_kept_result_bytes: int,
        keep_results_hours: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._node_id = node_id
        self._keep_seconds = keep_results_hours * _HOUR_SECONDS
        self.receipts = PostgresReceipts(database)
        self.results = PostgresResults(database, max_bytes=max_kept_result_bytes)
        self.ends = ExecutionEnds(events, self.receipts)
        self._background = Background()
        self.here = Executions(
            events=events,
            ends=self.ends,
            results=self.results,
            runner=runner,
            clock=clock,
            node_id=node_id,
            admission=admission,
        )

    def join(
        self,
        *,
        plugins: Plugins,
        history: ExecutionHistory,
        channel: LiveChannel,
        leadership: Leadership,
        tasks: Tasks,
        log: CommandLog,
        commands: CommandBus,
        queries: QueryBus,
    ) -> tuple[PluginExecutions, ExecutionDesk]:
        """Join the use cases with the rest of the node, and return those that requests go to."""
        self._cancellation = Cancellation(PostgresCancelRequests(self._database), channel, self.here)
        queued = QueuedExecutions(
            log=log,
            ends=self.ends,
            plugins=plugins,
            executions=self.here,
            cancellation=self._cancellation,
            clock=self._clock,
            node_id=self._node_id,
        )
        commands.register(ExecutePlugin, queued.queue)
        tasks.register(RUN_EXECUTION, queued.run)
        queue = PostgresExecutionQueue(self._database, keep_seconds=self._keep_seconds)
        sweep = OrphanSweep(history, self.ends, queue)
        leadership.run_while_leading("sweep of orphaned executions", sweep.run)
        beginning = PluginExecutions(
            plugins=plugins,
            executions=self.here,
            commands=commands,
            ends=self.ends,
            receipts=self.receipts,
            results=self.results,
        )
        desk = ExecutionDesk(
            history=history,
            ends=self.ends,
            results=self.results,
            cancellation=self._cancellation,
            node_id=self._node_id,
        )
        queries.register(
            GetExecutionHistory,
            lambda query: desk.page(ExecutionQuery(query.plugin_id, query.status, query.limit, query.cursor)),
        )
        return beginning, desk

    def start(self) -> None:
        """Begin to look for wishes to cancel."""
        self._background.run("cancellation of executions", self._cancellation.fulfil)

    async def close(self) -> None:
        """Stop looking."""
        await self._background.close()
