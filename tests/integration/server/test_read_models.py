"""Read models through the server: the figures are right at once on every node, whatever is rebuilt or away."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.server.flexcore_process import run_command, running
from tests.servers import RedisServer, wait_until

PLUGIN = "/api/v1/flexcore/plugins/json-processor"


@pytest.fixture
def nodes(environ: dict[str, str]) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of two nodes of one installation."""
    with (
        running({**environ, "FLEXCORE_NODE_ID": "core1"}) as one,
        running({**environ, "FLEXCORE_NODE_ID": "core2"}) as two,
        one.client() as first,
        two.client() as second,
    ):
        yield first, second


def execute(node: httpx.Client) -> None:
    assert node.post(f"{PLUGIN}/execute", json={}).status_code == 200


def executed(node: httpx.Client) -> int:
    """How many executions a node knows of, each with its end."""
    metrics = node.get(f"{PLUGIN}/status").raise_for_status().json()["metrics"]
    assert metrics["successful_executions"] + metrics["failed_executions"] == metrics["total_executions"]
    return int(metrics["total_executions"])


def test_every_node_shows_at_once_what_any_node_did(nodes: tuple[httpx.Client, httpx.Client]) -> None:
    for number in range(1, 9):
        doer, asker = nodes if number % 2 else nodes[::-1]
        execute(doer)
        assert executed(asker) == number


def test_figures_stay_right_without_redis(nodes: tuple[httpx.Client, httpx.Client], faulty_redis: RedisServer) -> None:
    execute(nodes[0])
    assert executed(nodes[1]) == 1
    faulty_redis.kill()
    for number in range(2, 6):
        execute(nodes[number % 2])
        assert executed(nodes[1 - number % 2]) == number


def test_a_rebuild_beside_a_serving_node_is_not_noticed(api: httpx.Client, environ: dict[str, str]) -> None:
    execute(api)
    over = threading.Event()
    seen: list[int] = []

    def work() -> None:
        while not over.is_set():
            execute(api)
            seen.append(executed(api))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(3):
            ended = run_command("projections", "rebuild", "plugin_inventory", environ=environ)
            assert (ended.returncode, ended.stderr) == (0, "")
    finally:
        over.set()
        worker.join()
    assert seen == list(range(2, len(seen) + 2))


def test_the_lag_is_a_metric(api: httpx.Client) -> None:
    execute(api)
    wanted = 'flexcore_projection_lag_events{projection="plugin_inventory"} 0.0'
    wait_until(lambda: wanted in api.get("/metrics").text, 10, "the read models to have caught up")
