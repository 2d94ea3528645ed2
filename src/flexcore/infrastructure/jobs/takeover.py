"""Hands the jobs of nodes that died back to the queue, where the living find them."""

import asyncio
import logging
import time
from typing import Final

from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.postgres.database import Database

INTERVAL_SECONDS: Final = 4.0
# Several heartbeats: with the interval, and the second until somebody looks, a job waits 20 s for another node.
DEAD_SECONDS: Final = 15.0
FORGOTTEN_SECONDS: Final = 3600.0

_HAND_BACK: Final = """
WITH lost AS MATERIALIZED (
    SELECT job.id, job.task_name
    FROM procrastinate_jobs AS job LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
    WHERE job.status = 'doing'
      AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => $1))
    FOR UPDATE OF job SKIP LOCKED
)
SELECT id, task_name, procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) FROM lost
"""
_FORGET: Final = "DELETE FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => $1)"

_log = logging.getLogger("flexcore.jobs")


class TakeOver:
    """Runs on every node, for it needs no leader: handing back a job that was handed back already does nothing.

    A node that was only slow loses its jobs too. What it still says of them is then ignored by the queue, and of two
    ends of one execution the event log keeps the first.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._in_touch_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for lost jobs."""
        self._task = asyncio.create_task(self._run(), name="job-takeover")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Unavailable:
                # Nobody's heartbeat was heard in that time. Who is dead shows only some time after it.
                self._in_touch_since = None
            await asyncio.sleep(INTERVAL_SECONDS)

    async def look(self) -> None:
        """Hand back what is lost, if PostgreSQL has been there for long enough to tell; raises Unavailable."""
        started = time.monotonic()
        async with self._database.session() as connection:
            if self._in_touch_since is not None and started - self._in_touch_since >= DEAD_SECONDS:
                for row in await connection.fetch(_HAND_BACK, DEAD_SECONDS):
                    _log.warning("job %s of task '%s' was lost by its node and is queued again", row[0], row[1])
                await connection.execute(_FORGET, FORGOTTEN_SECONDS)
            else:
                await connection.execute("SELECT 1")
        if self._in_touch_since is None:
            self._in_touch_since = started
