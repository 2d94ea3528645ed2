"""What `/health` asks the job queue."""

from typing import Final

from flexcore.application.admission import Admission
from flexcore.application.ports import ProbeResult
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.jobs.worker import JobWorker
from flexcore.infrastructure.postgres.database import Database

PROBE_SECONDS: Final = 1.5
# Beyond that nobody needs the exact number, and counting takes its time.
MOST_COUNTED: Final = 10_000

_DEPTH: Final = f"""
SELECT
    (SELECT count(*) FROM (SELECT FROM procrastinate_jobs WHERE status = 'todo' LIMIT {MOST_COUNTED + 1}) AS waiting),
    (SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing')
"""  # noqa: S608 - a number


class JobQueueProbe:
    """Checks that jobs are taken here, and tells how many there are; a long queue is no failure."""

    name: Final = "job_queue"

    def __init__(self, database: Database, worker: JobWorker, admission: Admission) -> None:
        self._database = database
        self._worker = worker
        self._admission = admission

    async def check(self) -> ProbeResult:
        """Count; raises Unavailable if the queue can't be read, or this node's worker does not reach it."""
        async with self._database.session(seconds=PROBE_SECONDS, reserved=True) as connection:
            waiting, doing = await connection.fetchrow(_DEPTH)
        trouble = self._worker.trouble
        if trouble is not None:
            raise Unavailable(self.name, f"{trouble}; {_count(waiting)} jobs wait")
        return ProbeResult(
            None,
            f"{_count(waiting)} jobs wait, {doing} are being done, {self._worker.running} of at most "
            f"{self._worker.concurrency} here; {self._admission.active} of {self._admission.slots} execution slots "
            "busy",
        )


def _count(number: int) -> str:
    return str(number) if number <= MOST_COUNTED else f"over {MOST_COUNTED}"
