"""What the PostgreSQL tests share: an open Database, and the store on it."""

import pytest

from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from tests.integration.postgres.tampering import Tamper
from tests.servers import PostgresServer


@pytest.fixture
def store(database: Database) -> PostgresEventStore:
    """The event store on a fresh database."""
    return PostgresEventStore(database)


@pytest.fixture
def tamper(postgres_server: PostgresServer, database_name: str) -> Tamper:
    """What changes a table behind FlexCore's back."""

    def run(*statements: str) -> None:
        with postgres_server.connect(database=database_name) as connection, connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            for statement in statements:
                connection.execute(statement)

    return run
