"""What nodes coordinate by, on real servers; and the environment of the server's own tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.redis.connection import RedisAccess
from tests.integration.server.conftest import api, checked, environ, flexcore
from tests.servers import RedisServer

__all__ = ["api", "checked", "environ", "flexcore"]


@pytest.fixture(autouse=True)
def fresh_redis(redis_server: RedisServer) -> Iterator[None]:
    """Begin with nothing in Redis, whatever other tests left there, and leave nothing."""
    with redis_server.connect() as client:
        client.flushall()
    yield
    redis_server.ensure_running()
    with redis_server.connect() as client:
        client.flushall()


@pytest.fixture
def redis_access(redis_server: RedisServer) -> RedisAccess:
    """How the server reaches Redis, with no more rights than in production."""
    login = redis_server.login()
    return RedisAccess(login.host, login.port, login.user, login.password)


@pytest.fixture
async def database(runtime_access: PostgresAccess) -> AsyncIterator[Database]:
    """The runtime's connections, closed after the test."""
    database = Database(runtime_access, node_id="node1", connections=4)
    await database.connect()
    yield database
    await database.close()
