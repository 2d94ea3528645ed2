"""What the PostgreSQL tests share: an open Database, and the store on it."""

from collections.abc import AsyncIterator

import pytest

from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore


@pytest.fixture
async def database(runtime_access: PostgresAccess) -> AsyncIterator[Database]:
    """The runtime's connections, closed after the test."""
    database = Database(runtime_access, node_id="node1", connections=4)
    await database.connect()
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> PostgresEventStore:
    """The event store on a fresh database."""
    return PostgresEventStore(database)
