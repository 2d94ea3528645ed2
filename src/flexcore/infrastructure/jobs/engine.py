"""The job engine of one node: its connections, its worker, and its look-out for nodes that died."""

from collections.abc import Callable
from typing import Final

from flexcore.application.admission import Admission
from flexcore.application.jobs import Tasks
from flexcore.application.runtime import Worker
from flexcore.infrastructure.jobs.listener import Listener
from flexcore.infrastructure.jobs.probe import JobQueueProbe
from flexcore.infrastructure.jobs.takeover import TakeOver
from flexcore.infrastructure.jobs.worker import JobWorker
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database

# Apart from those of the requests, so that a busy API never looks like a dead worker.
CONNECTIONS: Final = 3


class JobEngine:
    """Does what `tasks` holds when it starts. `may_take` says whether the node takes another job now."""

    def __init__(
        self, access: PostgresAccess, *, node_id: str, tasks: Tasks, concurrency: int, may_take: Callable[[], bool]
    ) -> None:
        self._database = Database(access, node_id=node_id, connections=CONNECTIONS)
        self._worker = JobWorker(
            self._database,
            Listener(access, node_id=node_id),
            tasks,
            concurrency=concurrency,
            may_take=may_take,
        )
        self._take_over = TakeOver(self._database)

    def probe(self, admission: Admission) -> JobQueueProbe:
        """Return the health check of the queue and of this node's worker."""
        return JobQueueProbe(self._database, self._worker, admission)

    def worker(self) -> Worker:
        """Tell how this node's worker fares."""
        worker = self._worker
        return Worker.of("jobs", worker.trouble, "takes jobs", busy=worker.running, capacity=worker.concurrency)

    async def start(self) -> None:
        """Begin to take jobs; PostgreSQL may be away."""
        await self._database.connect()
        self._worker.start()
        self._take_over.start()

    async def close(self) -> None:
        """Hand back what still runs and leave the queue."""
        await self._take_over.close()
        await self._worker.close()
        await self._database.close()
