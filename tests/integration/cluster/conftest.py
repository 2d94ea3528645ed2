"""What nodes coordinate by, on real servers; and the environment of the server's own tests."""

from collections.abc import Iterator

import pytest

from flexcore.infrastructure.redis.connection import RedisAccess
from tests.integration.server.conftest import api, checked, environ, flexcore
from tests.servers import RedisServer

__all__ = ["api", "checked", "environ", "flexcore"]


@pytest.fixture(autouse=True)
def fresh_redis(empty_redis: RedisServer) -> Iterator[None]:
    """Begin with nothing in Redis, whatever other tests left there, and leave it running."""
    yield
    empty_redis.ensure_running()


@pytest.fixture
def redis_access(redis_server: RedisServer) -> RedisAccess:
    """How the server reaches Redis, with no more rights than in production."""
    login = redis_server.login()
    return RedisAccess(login.host, login.port, login.user, login.password)
