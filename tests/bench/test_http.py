"""What a request costs at the HTTP edge: the health route against the bare stack and against the customary one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.bench.figures import alternate, print_figure
from tests.bench.flexcore import served
from tests.bench.load import pin_to_first_cpu, requests_per_second
from tests.servers import free_port, wait_until


@pytest.fixture(scope="module")
def flexcore_url() -> Iterator[str]:
    """Base URL of a healthy FlexCore with its own PostgreSQL and Redis."""
    with served() as process:
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
