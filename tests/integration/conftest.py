"""Real servers for the integration tests, each worker its own, gone when the worker ends."""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.migrate import migrate
from tests.servers import PostgresServer, RedisServer, serving

_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Coroutine tests (`pytest.mark.anyio`) run on the event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL with FlexCore's roles. A test that disturbs it takes `faulty_postgres` instead."""
    with serving(PostgresServer()) as server:
        server.create_roles()
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis. A test that disturbs it takes `faulty_redis` instead."""
    with serving(RedisServer()) as server:
        yield server


@pytest.fixture
def faulty_postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The PostgreSQL of this worker for a test that kills or hangs it; it is brought back afterwards."""
    yield postgres_server
    postgres_server.ensure_running()


@pytest.fixture
def faulty_redis(redis_server: RedisServer) -> Iterator[RedisServer]:
    """The Redis of this worker for a test that kills or hangs it; it is brought back afterwards."""
    yield redis_server
    redis_server.ensure_running()


@pytest.fixture
def empty_redis(redis_server: RedisServer) -> RedisServer:
    """The Redis of this worker with nothing in it, so also without the lease of a node that an earlier test killed.

    While that lasts nobody leads, and every question about what was just recorded waits a moment for a leader.
    """
    with redis_server.connect() as client:
        client.flushall()
    return redis_server


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Name of a fresh database, owned by FlexCore's owner role, without a schema."""
    name = f"flexcore_{next(_numbers)}"
    postgres_server.create_database(name)
    yield name
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def _migrated_database(postgres_server: PostgresServer) -> str:
    name = "flexcore"
    postgres_server.create_database(name)
    migrate(access(postgres_server, name, postgres_server.owner), postgres_server.runtime)
    return name


@pytest.fixture
def database_name(postgres_server: PostgresServer, _migrated_database: str) -> str:
    """Name of a database with FlexCore's schema and no event."""
    with postgres_server.connect(database=_migrated_database) as connection:
        # Only a superuser can do this; it passes by the trigger that keeps events from being deleted.
        connection.execute("SET session_replication_role = replica")
        connection.execute("TRUNCATE events, receipts, projections")
        connection.execute("TRUNCATE execution_history, pipeline_status, plugin_inventory, system_metrics, snapshots")
        connection.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")
        connection.execute("TRUNCATE plugin_packages, plugin_package_pieces")
        connection.execute("TRUNCATE execution_results, execution_cancellations")
        connection.execute("TRUNCATE users, api_tokens, api_token_uses, session_keys, login_attempts, audit")
    return _migrated_database


@pytest.fixture
def runtime_access(postgres_server: PostgresServer, database_name: str) -> PostgresAccess:
    """How the server reaches `database_name`."""
    return access(postgres_server, database_name, postgres_server.runtime)


@pytest.fixture
async def database(runtime_access: PostgresAccess) -> AsyncIterator[Database]:
    """The runtime's connections, closed after the test."""
    database = Database(runtime_access, node_id="node1", connections=4)
    await database.connect()
    yield database
    await database.close()


@pytest.fixture
def owner_access(postgres_server: PostgresServer, database_name: str) -> PostgresAccess:
    """How migrations reach `database_name`."""
    return access(postgres_server, database_name, postgres_server.owner)


def access(server: PostgresServer, database: str, role: str) -> PostgresAccess:
    """How `role` reaches `database`."""
    login = server.login(role)
    return PostgresAccess(login.host, login.port, database, login.user, login.password)
