"""What the projections' tests share: a log, read models on it, and a projector to run."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from flexcore.application.events import Events
from flexcore.application.projections.follower import Follower
from flexcore.application.projections.freshness import Freshness
from flexcore.application.projections.projector import Projector
from flexcore.application.read_models.execution_history import ExecutionHistoryProjection
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_feed import PostgresEventFeed
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
def events(database: Database) -> Events:
    return Events(PostgresEventStore(database), lambda: str(uuid.uuid4()))


@pytest.fixture
def feed(database: Database) -> PostgresEventFeed:
    return PostgresEventFeed(database)


@pytest.fixture
def projections(database: Database) -> PostgresProjections:
    return PostgresProjections(database)


@pytest.fixture
def projector(feed: PostgresEventFeed, projections: PostgresProjections) -> Projector:
    return Projector([PROJECTION], feed, projections)


@pytest.fixture
def history(database: Database, projections: PostgresProjections, projector: Projector) -> PostgresExecutionHistory:
    return PostgresExecutionHistory(database, Freshness(projections, projector.nudge))


@pytest.fixture
def follower(
    feed: PostgresEventFeed, projections: PostgresProjections
) -> Callable[..., "asyncio.Future[Follower[object]]"]:
    """Make a follower of the live generation, as one node would."""

    async def make(page_events: int = 3) -> Follower[object]:
        live = await projections.live(PROJECTION)
        return Follower(PROJECTION, live, feed, projections, page_events=page_events)  # type: ignore[arg-type]

    return make  # type: ignore[return-value]


@asynccontextmanager
async def running(*projectors: Projector) -> AsyncIterator[None]:
    """Run projectors for the length of a block."""
    tasks = [asyncio.create_task(projector.run()) for projector in projectors]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
