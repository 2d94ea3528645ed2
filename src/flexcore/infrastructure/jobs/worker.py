"""The job worker of a node: procrastinate's, inside the server, kept running and never able to take the server down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.jobs import DeleteJobCondition, Job
from procrastinate.utils import utcnow

from flexcore.application.jobs import JobHandler, Tasks
from flexcore.domain.errors import TooBusy, Unavailable
from flexcore.infrastructure.jobs.connector import DatabaseConnector
from flexcore.infrastructure.jobs.listener import Listener
from flexcore.infrastructure.jobs.manager import PatientJobManager
from flexcore.infrastructure.postgres.database import Database

HEARTBEAT_SECONDS: Final = 4.0
# New jobs are announced; those that were handed back, or whose time has come, are found by looking.
POLL_SECONDS: Final = 1.0
# What jobs that are nearly done get at the end, before they are handed back.
GRACE_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 4.0
FIRST_RESTART_SECONDS: Final = 0.5
LAST_RESTART_SECONDS: Final = 5.0
# Workers are forgotten by `takeover.py`; procrastinate's worker would do so whenever one starts.
_NEVER_SECONDS: Final = 1e9

_logger = logging.getLogger("flexcore.jobs")


class JobWorker:
    """Does jobs of `tasks`, at most `concurrency` at once, while `may_take` says so."""

    def __init__(
        self, database: Database, listener: Listener, tasks: Tasks, *, concurrency: int, may_take: Callable[[], bool]
    ) -> None:
        self._connector = DatabaseConnector(database)
        self._listener = listener
        self._tasks = tasks
        self._concurrency = concurrency
        self._may_take = may_take
        self._manager = self._new_manager()
        self._running = 0
        self._closing = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """How many jobs this node does now."""
        return self._running

    @property
    def concurrency(self) -> int:
        """How many jobs this node does at most at once."""
        return self._concurrency

    @property
    def trouble(self) -> str | None:
        """Why no job would be done here now; None if they are."""
        if self._keeper is None or self._keeper.done():
            return "the job worker does not run"
        silent = self._manager.seconds_since_contact
        if silent > 2 * HEARTBEAT_SECONDS:
            return (
                f"the job worker has not reached the queue for {silent:.0f} s: {self._manager.trouble or 'no answer'}"
            )
        return None

    def start(self) -> None:
        """Begin to take jobs."""
        self._keeper = asyncio.create_task(self._keep(), name="job-worker")

    async def close(self) -> None:
        """Take no more jobs, and hand those that still run back to the queue; takes a few seconds at most."""
        self._closing = True
        self._manager.close()
        if self._keeper is None:
            return
        self._keeper.cancel()
        _, late = await asyncio.wait({self._keeper}, timeout=CLOSE_SECONDS)
        if late:
            _logger.warning("the job worker did not end in time; another node takes its jobs over")

    async def _keep(self) -> None:
        delay = FIRST_RESTART_SECONDS
        while not self._closing:
            self._manager = self._new_manager()
            try:
                await self._work()
            except Unavailable as error:
                _logger.warning("the job worker can't start yet and tries again: %s", error)
            except Exception:
                _logger.exception("the job worker failed unexpectedly and starts again")
            else:
                _logger.warning("the job worker ended and starts again")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RESTART_SECONDS)

    def _new_manager(self) -> PatientJobManager:
        return PatientJobManager(self._connector, self._listener, lambda: not self._closing and self._may_take())

    async def _work(self) -> None:
        app = App(connector=self._connector)
        app.job_manager = self._manager
        for name, handler in self._tasks.handlers.items():
            # A queue for each task, so that a node of an older release leaves alone what it can't do.
            app.task(name=name, queue=name, retry=_TryAgain())(self._job(name, handler))
        await app.run_worker_async(
            queues=list(self._tasks.handlers),
            concurrency=self._concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            abort_job_polling_interval=_NEVER_SECONDS,
            shutdown_graceful_timeout=GRACE_SECONDS,
            delete_jobs=DeleteJobCondition.ALWAYS.value,
            install_signal_handlers=False,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=_NEVER_SECONDS,
        )

    def _job(self, name: str, handler: JobHandler) -> Callable[..., Awaitable[None]]:
        async def do(**arguments: Any) -> None:
            self._running += 1
            try:
                await handler(arguments)
            except (TooBusy, Unavailable) as error:
                _logger.info("a job of task '%s' is tried again: %s", name, error)
                raise _NotNow from error
            except Exception:
                # Not raised further, because procrastinate would log the arguments, which may be secret.
                _logger.exception("a job of task '%s' failed unexpectedly and is not tried again", name)
            finally:
                self._running -= 1

        return do


class _NotNow(Exception):  # noqa: N818 - it says what to do with the job
    """The job can't be done now."""


class _TryAgain(BaseRetryStrategy):
    """Tries again what said "not now", a little later, and what was cut off by the end of this node, at once."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        match exception:
            case _NotNow():
                return RetryDecision(retry_at=utcnow())
            case asyncio.CancelledError():
                return RetryDecision()
            case _:
                return None
