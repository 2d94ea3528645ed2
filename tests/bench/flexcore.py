"""A FlexCore for the benchmarks, with a PostgreSQL and a Redis of its own."""

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.migrate import migrate
from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import PostgresServer, RedisServer, serving, wait_until


@contextlib.contextmanager
def served(environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[FlexCoreProcess]:
    """Run one that is ready, for the length of a block."""
    with serving(PostgresServer()) as postgres, serving(RedisServer()) as redis:
        postgres.create_roles()
        postgres.create_database("flexcore")
        owner, runtime, login = postgres.login("flexcore_owner"), postgres.login("flexcore"), redis.login()
        migrate(PostgresAccess(owner.host, owner.port, "flexcore", owner.user, owner.password), runtime.user)
        variables = {
            "POSTGRES_HOST": runtime.host,
            "POSTGRES_PORT": str(runtime.port),
            "POSTGRES_PASSWORD": runtime.password,
            "REDIS_HOST": login.host,
            "REDIS_PORT": str(login.port),
            "REDIS_USERNAME": login.user,
            "REDIS_PASSWORD": login.password,
        }
        with running({**variables, **environ}) as process, process.client() as client:
            wait_until(lambda: client.get("/health/ready").is_success, 30, "readiness")
            yield process
