"""Ends the executions that nobody else will end: those of a node that died and that no job begins again."""

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Protocol

from flexcore.application.execution_ends import ExecutionEnds
from flexcore.application.read_models.execution_history import ExecutionHistory, ExecutionRow
from flexcore.domain.execution import ExecutionRecord, FailureReason

LOOK_SECONDS: Final = 5.0
# After its time limit a living node records the end at once, or as soon as it reaches PostgreSQL again.
GRACE_SECONDS: Final = 30.0
MOST_AT_ONCE: Final = 100

_logger = logging.getLogger("flexcore.executions")


class ExecutionQueue(Protocol):
    """What the database knows of executions beside their events. Raises Unavailable while it does not answer."""

    async def now(self) -> datetime:
        """Return the database's time, by which deadlines are set."""
        ...

    async def queued(self, execution_ids: Collection[str]) -> set[str]:
        """Return those of `execution_ids` for which there is a job."""
        ...

    async def forget(self) -> None:
        """Delete kept answers and wishes that are older than they are kept."""
        ...


class OrphanSweep:
    """Gives up executions that still run long after their time limit."""

    def __init__(self, history: ExecutionHistory, ends: ExecutionEnds, queue: ExecutionQueue) -> None:
        self._history = history
        self._ends = ends
        self._queue = queue

    async def run(self, token: int) -> None:
        """Look again and again, for as long as this node leads; what it writes needs no token, for ends are unique."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """End what is orphaned; raises Unavailable, TooBusy."""
        overdue = await self._history.overdue(
            await self._queue.now() - timedelta(seconds=GRACE_SECONDS), limit=MOST_AT_ONCE
        )
        queued = await self._queue.queued([row.execution_id for row in overdue])
        for row in overdue:
            if row.execution_id not in queued:
                await self._give_up(row)
        await self._queue.forget()

    async def _give_up(self, row: ExecutionRow) -> None:
        metadata = {"correlation_id": row.correlation_id, "user_id": row.user_id, "node_id": row.node_id}
        part_of = {name: value for name, value in (("pipeline_id", row.pipeline_id), ("step_id", row.step_id)) if value}
        record = ExecutionRecord(
            row.execution_id, row.plugin_id, row.operation, metadata, part_of=part_of, attempt=row.attempt
        )
        error = f"node {row.node_id} did not come to an end with it, and is taken to have died"
        await self._ends.failed(record, FailureReason.NODE_LOST, error)
        _logger.warning("execution %s was lost with node %s", row.execution_id, row.node_id)
