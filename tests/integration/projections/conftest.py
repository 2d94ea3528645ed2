"""What the projections' tests share: a log, read models on it, and a projector to run."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import pytest

from flexcore.application.events import Events
from flexcore.application.ports import LeaderWork
from flexcore.application.projections.follower import Follower
from flexcore.application.projections.freshness import Freshness
from flexcore.application.projections.projector import Projector
from flexcore.application.read_models.execution_history import ExecutionHistoryProjection
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.execution_history import PostgresExecutionHistory
from flexcore.infrastructure.postgres.projections import PostgresProjections

PROJECTION = ExecutionHistoryProjection()


@pytest.fixture
async def database(runtime_access: PostgresAccess) -> AsyncIterator[Database]:
    """The runtime's connections, closed after the test."""
    database = Database(runtime_access, node_id="node1", connections=8)
    await database.connect()
    yield database
    await database.close()


@pytest.fixture
def feed(database: Database) -> PostgresEventStore:
    return PostgresEventStore(database)


@pytest.fixture
def events(feed: PostgresEventStore) -> Events:
    return Events(feed, lambda: str(uuid.uuid4()))


@pytest.fixture
def projections(database: Database) -> PostgresProjections:
    return PostgresProjections(database)


@pytest.fixture
def projector(feed: PostgresEventStore, projections: PostgresProjections) -> Projector:
    return Projector([PROJECTION], feed, projections)


@pytest.fixture
async def history(
    database: Database, feed: PostgresEventStore, projections: PostgresProjections, projector: Projector
) -> AsyncIterator[PostgresExecutionHistory]:
    freshness = Freshness(feed, projections, projector.nudge)
    yield PostgresExecutionHistory(database, freshness)
    await freshness.close()


@pytest.fixture
def follower(
    feed: PostgresEventStore, projections: PostgresProjections
) -> Callable[..., "asyncio.Future[Follower[object]]"]:
    """Make a follower of the live generation, as one node would."""

    async def make(page_events: int = 3) -> Follower[object]:
        live = await projections.live(PROJECTION)
        return Follower(PROJECTION, live, feed, projections, page_events=page_events)  # type: ignore[arg-type]

    return make  # type: ignore[return-value]


class Leader:
    """Leadership of a node that leads for the length of `term`."""

    def __init__(self, token: int) -> None:
        self.token: int | None = token
        self._work: list[LeaderWork] = []

    def run_while_leading(self, name: str, work: LeaderWork) -> None:
        self._work.append(work)

    @asynccontextmanager
    async def term(self) -> AsyncIterator[None]:
        assert self.token is not None
        async with _running([work(self.token) for work in self._work]):
            yield


@asynccontextmanager
async def running(*projectors: Projector, token: int | None = None) -> AsyncIterator[None]:
    """Run projectors for the length of a block."""
    async with _running([projector.run(token) for projector in projectors]):
        yield


@asynccontextmanager
async def _running(coroutines: Iterable[Awaitable[None]]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
