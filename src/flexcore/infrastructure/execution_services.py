"""Everything about executions that reaches beyond one request and one node, joined."""

from collections.abc import Callable
from typing import Final

from flexcore.application.background import Background
from flexcore.application.cancellation import Cancellation
from flexcore.application.events import Events
from flexcore.application.execution_ends import ExecutionEnds
from flexcore.application.execution_history import ExecutionDesk
from flexcore.application.executions import Executions
from flexcore.application.jobs import Tasks
from flexcore.application.orphans import OrphanSweep
from flexcore.application.plugin_executions import PluginExecutions
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Clock, Leadership, LiveChannel, PluginRunner
from flexcore.application.queued_executions import RUN_EXECUTION, QueuedExecutions
from flexcore.application.read_models.execution_history import ExecutionHistory
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
        slots: int,
        held: Callable[[], str | None],
        max_kept_result_bytes: int,
        keep_results_hours: int,
    ) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._node_id = node_id
        self._keep_seconds = keep_results_hours * _HOUR_SECONDS
        self._receipts = PostgresReceipts(database)
        self._results = PostgresResults(database, max_bytes=max_kept_result_bytes)
        self._ends = ExecutionEnds(events, self._receipts)
        self._background = Background()
        self.here = Executions(
            events=events,
            ends=self._ends,
            results=self._results,
            runner=runner,
            clock=clock,
            node_id=node_id,
            slots=slots,
            held=held,
        )

    def join(
        self,
        *,
        plugins: Plugins,
        history: ExecutionHistory,
        channel: LiveChannel,
        leadership: Leadership,
        tasks: Tasks,
    ) -> tuple[PluginExecutions, ExecutionDesk]:
        """Join the use cases with the rest of the node, and return those that requests go to."""
        self._cancellation = Cancellation(PostgresCancelRequests(self._database), channel, self.here)
        queued = QueuedExecutions(
            events=self._events,
            ends=self._ends,
            plugins=plugins,
            executions=self.here,
            cancellation=self._cancellation,
            clock=self._clock,
            node_id=self._node_id,
        )
        tasks.register(RUN_EXECUTION, queued.run)
        queue = PostgresExecutionQueue(self._database, keep_seconds=self._keep_seconds)
        sweep = OrphanSweep(history, self._ends, queue)
        leadership.run_while_leading("sweep of orphaned executions", sweep.run)
        beginning = PluginExecutions(
            plugins=plugins,
            executions=self.here,
            queued=queued,
            ends=self._ends,
            receipts=self._receipts,
            results=self._results,
        )
        desk = ExecutionDesk(
            history=history,
            ends=self._ends,
            results=self._results,
            cancellation=self._cancellation,
            node_id=self._node_id,
        )
        return beginning, desk

    def start(self) -> None:
        """Begin to look for wishes to cancel."""
        self._background.run("cancellation of executions", self._cancellation.fulfil)

    async def close(self) -> None:
        """Stop looking."""
        await self._background.close()
