"""What a request costs at the HTTP edge: the health route against the bare stack and against the customary one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.migrate import migrate
from tests.bench.figures import alternate, print_figure
from tests.bench.load import pin_to_first_cpu, requests_per_second
from tests.integration.server.flexcore_process import running
from tests.servers import PostgresServer, RedisServer, free_port, serving, wait_until


@pytest.fixture(scope="module")
def flexcore_url() -> Iterator[str]:
    """Base URL of a healthy FlexCore with its own PostgreSQL and Redis."""
    with serving(PostgresServer()) as postgres, serving(RedisServer()) as redis:
        postgres.create_roles()
        postgres.create_database("flexcore")
        owner, runtime, login = postgres.login("flexcore_owner"), postgres.login("flexcore"), redis.login()
        migrate(PostgresAccess(owner.host, owner.port, "flexcore", owner.user, owner.password), runtime.user)
        environ = {
            "POSTGRES_HOST": runtime.host,
            "POSTGRES_PORT": str(runtime.port),
            "POSTGRES_PASSWORD": runtime.password,
            "REDIS_HOST": login.host,
            "REDIS_PORT": str(login.port),
            "REDIS_USERNAME": login.user,
            "REDIS_PASSWORD": login.password,
        }
        with running(environ) as process, process.client() as client:
            wait_until(lambda: client.get("/health/ready").is_success, 30, "readiness")
            pin_to_first_cpu(process.pid)
            yield process.url


@contextlib.contextmanager
def peer(name: str) -> Iterator[str]:
    """Base URL of a peer, running for the length of a block."""
    port = free_port()
    command = ["taskset", "-c", "0", sys.executable, "-m", "tests.bench.peers", name, str(port)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), 30, f"{name} answering")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("name", ["starlette_bare", "starlette_middleware"])
def test_http_health(flexcore_url: str, name: str) -> None:
    """GET /health, requests per second on one core."""
    with peer(name) as peer_url:
        ours, theirs = alternate(
            lambda: requests_per_second(f"{flexcore_url}/health"), lambda: requests_per_second(f"{peer_url}/health")
        )
    print_figure(f"http_health_vs_{name}", ours, theirs, unit="requests/s", peer_name=name, more_is_better=True)
