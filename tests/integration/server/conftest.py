"""A FlexCore node with its own PostgreSQL and Redis."""

from collections.abc import Iterator

import httpx
import pytest

from flexcore.infrastructure.postgres.access import PostgresAccess
from tests.integration.server.contract import Contract
from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import RedisServer


@pytest.fixture
def environ(runtime_access: PostgresAccess, empty_redis: RedisServer) -> dict[str, str]:
    """Variables of a node that reaches its PostgreSQL and its Redis."""
    redis = empty_redis.login()
    return {
        "POSTGRES_HOST": runtime_access.host,
        "POSTGRES_PORT": str(runtime_access.port),
        "POSTGRES_DB": runtime_access.database,
        "POSTGRES_USER": runtime_access.user,
        "POSTGRES_PASSWORD": runtime_access.password,
        "REDIS_HOST": redis.host,
        "REDIS_PORT": str(redis.port),
        "REDIS_USERNAME": redis.user,
        "REDIS_PASSWORD": redis.password,
    }


@pytest.fixture
def flexcore(environ: dict[str, str]) -> Iterator[FlexCoreProcess]:
    """A running node."""
    with running(environ) as process:
        yield process


@pytest.fixture
def api(flexcore: FlexCoreProcess) -> Iterator[httpx.Client]:
    """A client with the token."""
    with flexcore.client() as client:
        yield client


@pytest.fixture
def checked(api: httpx.Client) -> Iterator[httpx.Client]:
    """A client that checks every answer against the server's OpenAPI document."""
    contract = Contract(api.get("/openapi.json").json())

    def check(response: httpx.Response) -> None:
        response.read()
        contract.check(response)

    with httpx.Client(
        base_url=api.base_url, headers=api.headers, timeout=10.0, trust_env=False, event_hooks={"response": [check]}
    ) as client:
        yield client
