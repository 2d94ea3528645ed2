"""What a worker tells the queue, made to last: through outages of PostgreSQL, and against nodes that come back late.

procrastinate's worker ends when PostgreSQL is away for a moment, and stops caring for the jobs it still runs; and it
ends a job by its number alone, even if the job has been given to another node since. Neither may happen here, where
a job that is lost is a step that nobody does.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, LiteralString

from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback, get_channel_for_queues

from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.jobs.connector import DatabaseConnector
from flexcore.infrastructure.jobs.listener import Listener

RETRY_SECONDS: Final = 1.0
# PostgreSQL can give us a job in a transaction whose outcome we never hear of. For so long after it is back we look
# for such jobs, since a server that hung may come to that transaction late.
UNSURE_SECONDS: Final = 30.0
# What each last word may take when the node stops.
CLOSING_SECONDS: Final = 1.0

# A job is still the worker's own while nobody has handed it back: that takes the worker's name off it, or counts
# one attempt more.
_MINE: Final = """
WITH mine AS MATERIALIZED (
    SELECT id FROM procrastinate_jobs
    WHERE id = %(job_id)s AND worker_id = %(worker_id)s AND attempts = %(attempts)s AND status = 'doing'
    FOR UPDATE
)
"""
_FINISH: Final = _MINE + "SELECT procrastinate_finish_job_v1(id, %(status)s, %(delete_job)s) FROM mine"  # noqa: S608 - constants
# By the database's clock, which is also the one that jobs are taken by.
_TRY_AGAIN: Final = (
    _MINE  # noqa: S608 - constants
    + "SELECT procrastinate_retry_job_v2(id, now() + make_interval(secs => %(seconds)s), NULL, NULL, NULL) FROM mine"
)
_STRAYS: Final = """
WITH strays AS MATERIALIZED (
    SELECT id FROM procrastinate_jobs
    WHERE worker_id = %(worker_id)s AND status = 'doing' AND id <> ALL(%(held)s::bigint[])
    FOR UPDATE
)
SELECT procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) FROM strays
"""

_log = logging.getLogger("flexcore.jobs")


class PatientJobManager(JobManager):
    """procrastinate's job manager for one worker.

    `may_take` says whether the node takes another job now. While PostgreSQL is away nothing is fetched, heartbeats
    and ends of jobs are tried until they succeed, and the worker runs on.
    """

    def __init__(self, connector: DatabaseConnector, listener: Listener, may_take: Callable[[], bool]) -> None:
        super().__init__(connector)
        self._listener = listener
        self._may_take = may_take
        self._closing = False
        self._looking: asyncio.Task[Job | None] | None = None
        self._trouble: str | None = "it has not reached the queue yet"
        self._last_contact = time.monotonic()
        self._held: set[int] = set()
        self._unsure_until = 0.0
        self._announced = 0

    @property
    def trouble(self) -> str | None:
        """Why the queue was not reached the last time, None if it was."""
        return self._trouble

    @property
    def seconds_since_contact(self) -> float:
        """How long ago the queue was last reached, or this was made."""
        return time.monotonic() - self._last_contact

    def close(self) -> None:
        """Try nothing a second time from now on, and nothing for long: the node is stopping."""
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()

    async def register_worker(self) -> int:
        """Make the worker known; raises Unavailable."""
        worker_id = await super().register_worker()
        self._reached()
        return worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        """Sign the worker off, if PostgreSQL is there."""
        try:
            async with self._bounded():
                await super().unregister_worker(worker_id)
        except (Unavailable, TimeoutError) as error:
            _log.warning("the job worker could not sign off, its heartbeat will be missed instead: %s", error)

    async def update_heartbeat(self, worker_id: int) -> None:
        """Say that the worker lives, as soon as PostgreSQL hears it."""
        while True:
            try:
                await super().update_heartbeat(worker_id)
            except Unavailable as error:
                self._missed(error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._reached()
                return

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Take a job, if there is one, the node may take it, and PostgreSQL is there."""
        if self._closing or not self._may_take():
            return None
        self._looking = asyncio.create_task(self._look(queues, worker_id))
        try:
            await asyncio.wait({self._looking})
        finally:
            self._looking.cancel()
        return None if self._looking.cancelled() else self._looking.result()

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """None: what is cancelled here are executions, by the node that runs them."""
        return ()

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Take the job off the queue, unless it was handed to another node."""
        await self._insist(_FINISH, job, status=status.value, delete_job=delete_job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Hand the job back to be tried again, at once if `retry_at` is None, unless another node has it already."""
        await self._insist(_TRY_AGAIN, job, seconds=0.0 if retry_at is None else RETRY_SECONDS)

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Tell the worker of new jobs until cancelled."""

        async def hear(channel: str, payload: str) -> None:
            self._announced += 1
            await on_notification(channel=channel, notification=json.loads(payload))

        await self._listener.listen(get_channel_for_queues(queues), hear)

    async def _look(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        try:
            if time.monotonic() < self._unsure_until:
                await self._hand_back_strays(worker_id)
            job = await self._take(queues, worker_id)
        except Unavailable as error:
            self._missed(error)
            self._unsure_until = math.inf
            return None
        self._reached()
        if self._unsure_until == math.inf:
            self._unsure_until = time.monotonic() + UNSURE_SECONDS
        if job is not None and job.id is not None:
            self._held.add(job.id)
        return job

    async def _take(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        while True:
            announced = self._announced
            job = await super().fetch_job(queues, worker_id)
            # The worker forgets what was announced while it looked, and that may have come too late to be found.
            if job is not None or self._announced == announced:
                return job

    async def _hand_back_strays(self, worker_id: int) -> None:
        rows = await self.connector.execute_query_all_async(_STRAYS, worker_id=worker_id, held=list(self._held))
        if rows:
            _log.warning("%d jobs were given to this node without its hearing of it, and are queued again", len(rows))

    async def _insist(self, query: LiteralString, job: Job, **arguments: Any) -> None:
        identity = {"job_id": job.id, "worker_id": job.worker_id, "attempts": job.attempts}
        while True:
            try:
                async with self._bounded():
                    rows = await self.connector.execute_query_all_async(query, **identity, **arguments)
            except (Unavailable, TimeoutError) as error:
                self._missed(error)
                if self._closing:
                    _log.warning("job %s of task '%s' stays marked as running here", job.id, job.task_name)
                    return
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._reached()
                self._held.discard(identity["job_id"] or 0)
                if not rows:
                    _log.warning("job %s of task '%s' had ended, or was given to another node", job.id, job.task_name)
                return

    def _reached(self) -> None:
        if self._trouble is not None:
            _log.info("the job worker has reached the queue")
        self._trouble = None
        self._last_contact = time.monotonic()

    def _missed(self, error: Exception) -> None:
        text = str(error) or "PostgreSQL does not answer"
        if self._trouble is None:
            _log.warning("the job worker can't reach the queue: %s", text)
        self._trouble = text

    def _bounded(self) -> asyncio.Timeout:
        return asyncio.timeout(CLOSING_SECONDS if self._closing else None)
