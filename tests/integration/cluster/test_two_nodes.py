"""Two FlexCore nodes on one PostgreSQL and one Redis: who leads, who is there, and what faults do to that."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.server.contract import Contract
from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import PostgresServer, RedisServer, wait_until

CLUSTER = "/api/v1/flexcore/cluster"
EXECUTE = "/api/v1/flexcore/plugins/simple-processor/execute"
# A lease runs out after 10 s, and whoever waits for it looks every second.
ELECTED_SECONDS = 20.0
SEEN_SECONDS = 10.0
SHOWN_SECONDS = 5.0


class RunningNode:
    """A node and a client for it."""

    def __init__(self, process: FlexCoreProcess, api: httpx.Client) -> None:
        self.process = process
        self.api = api

    @property
    def node_id(self) -> str:
        return str(self.api.get("/info").json()["node_id"])

    def overview(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.get(CLUSTER + "/status").json()
        return answer

    def leader(self) -> str | None:
        leader: str | None = self.overview()["leader"]
        return leader

    def statuses(self) -> dict[str, str]:
        return {node["node_id"]: node["status"] for node in self.overview()["nodes"]}

    def ready(self) -> bool:
        return self.api.get("/health/ready").status_code == 200


@contextmanager
def node(environ: dict[str, str], node_id: str) -> Iterator[RunningNode]:
    with running(environ | {"FLEXCORE_NODE_ID": node_id}) as process, process.client() as api:
        yield RunningNode(process, api)


@pytest.fixture
def nodes(environ: dict[str, str]) -> Iterator[tuple[RunningNode, RunningNode]]:
    """Two nodes that know of each other and of their leader."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(node(environ, node_id)) for node_id in ("core1", "core2"))
        both = {"core1": "active", "core2": "active"}
        wait_until(lambda: first.statuses() == both == second.statuses(), SEEN_SECONDS, "both nodes being seen by both")
        wait_until(lambda: agreed(first, second), SEEN_SECONDS, "a leader")
        yield first, second


def agreed(*nodes: RunningNode) -> bool:
    leaders = {each.leader() for each in nodes}
    return len(leaders) == 1 and None not in leaders


def leader_first(nodes: tuple[RunningNode, RunningNode]) -> tuple[RunningNode, RunningNode]:
    first, second = nodes
    return (first, second) if first.leader() == first.node_id else (second, first)


def term(postgres: PostgresServer, database: str) -> tuple[int, str]:
    with postgres.connect(database=database) as connection:
        row = connection.execute("SELECT token, node_id FROM leadership").fetchone()
    assert row is not None
    return row[0], row[1]


@contextmanager
def executing(api: httpx.Client, seconds: float) -> Iterator["Future[httpx.Response]"]:
    """Let a plugin wait for `seconds` while the block runs; it has begun when the block begins."""
    body = {"operation": "wait", "parameters": {"timeout_seconds": 60, "data": {"seconds": seconds}}}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(api.post, EXECUTE, json=body)
        wait_until(
            lambda: "flexcore_plugin_executions_running 1.0" in api.get("/metrics").text, 10, "the execution's start"
        )
        yield answer


def test_two_nodes_agree_and_answer_as_described(
    nodes: tuple[RunningNode, RunningNode], postgres_server: PostgresServer, database_name: str
) -> None:
    first, second = nodes
    contract = Contract(first.api.get("/openapi.json").json())
    answer = first.api.get(CLUSTER + "/status")
    contract.check(answer)
    assert answer.json()["cluster"] == "flexcore"
    assert term(postgres_server, database_name)[1] == first.leader() == second.leader()
    for shown in answer.json()["nodes"]:
        assert set(shown) == {"node_id", "address", "version", "status", "last_heartbeat", "active_executions"}
    assert {shown["address"] for shown in answer.json()["nodes"]} == {first.process.url, second.process.url}
    page = first.api.get(CLUSTER + "/nodes", params={"limit": 1, "offset": 1})
    contract.check(page)
    assert [shown["node_id"] for shown in page.json()["nodes"]] == ["core2"]
    assert page.json()["total"] == 2
    for action in ("drain", "resume"):
        unknown = first.api.post(f"{CLUSTER}/nodes/nobody/{action}")
        contract.check(unknown)
        assert unknown.status_code == 404
        contract.check(first.api.post(f"{CLUSTER}/nodes/core2/{action}"))


def test_when_the_leader_is_killed_the_other_node_leads(
    nodes: tuple[RunningNode, RunningNode], postgres_server: PostgresServer, database_name: str
) -> None:
    leader, follower = leader_first(nodes)
    lost, next_leader = leader.node_id, follower.node_id
    before = term(postgres_server, database_name)
    leader.process.signal(signal.SIGKILL)
    wait_until(lambda: follower.leader() == next_leader, ELECTED_SECONDS, "another leader")
    assert term(postgres_server, database_name) == (before[0] + 1, next_leader)
    wait_until(lambda: follower.statuses()[lost] == "lost", ELECTED_SECONDS, "the killed node being called lost")


def test_a_leader_that_stops_in_order_hands_over_at_once(nodes: tuple[RunningNode, RunningNode]) -> None:
    leader, follower = leader_first(nodes)
    gone, next_leader = leader.node_id, follower.node_id
    leader.process.signal(signal.SIGTERM)
    assert leader.process.wait() == 0
    stopped = time.monotonic()
    wait_until(lambda: follower.leader() == next_leader, ELECTED_SECONDS, "another leader")
    # Not the 10 s that a lease takes to run out.
    assert time.monotonic() - stopped < 5
    wait_until(lambda: gone not in follower.statuses(), SEEN_SECONDS, "the stopped node's leave")


def test_a_leader_that_slept_through_its_term_is_fenced_off(
    nodes: tuple[RunningNode, RunningNode], postgres_server: PostgresServer, database_name: str
) -> None:
    leader, follower = leader_first(nodes)
    next_leader = follower.node_id
    token, _ = term(postgres_server, database_name)
    leader.process.signal(signal.SIGSTOP)
    wait_until(lambda: follower.leader() == next_leader, ELECTED_SECONDS, "another leader")
    with (
        postgres_server.connect(postgres_server.runtime, database_name) as connection,
        pytest.raises(psycopg.errors.DatabaseError, match=f"term {token} of leadership is over") as refused,
    ):
        connection.execute("SELECT check_leadership(%s)", (token,))
    assert refused.value.sqlstate == "FC412"
    leader.process.signal(signal.SIGCONT)
    leader.process.wait_for_log("leads no longer")
    wait_until(lambda: agreed(leader, follower), SEEN_SECONDS, "both naming one leader")
    assert follower.leader() == next_leader
    assert term(postgres_server, database_name) == (token + 1, next_leader)


def test_a_redis_that_forgets_everything_is_filled_again(
    nodes: tuple[RunningNode, RunningNode],
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    database_name: str,
) -> None:
    first, second = nodes
    with redis_server.connect() as client:
        client.flushall()
        wait_until(lambda: client.exists("flexcore:leader") == 1, SEEN_SECONDS, "a lease")
    both = {"core1": "active", "core2": "active"}
    wait_until(lambda: first.statuses() == both == second.statuses(), SEEN_SECONDS, "both nodes being seen again")
    wait_until(lambda: agreed(first, second), SEEN_SECONDS, "a leader")
    wait_until(lambda: term(postgres_server, database_name)[1] == first.leader(), SEEN_SECONDS, "its term")
    assert first.ready()
    assert second.ready()


@pytest.mark.parametrize("disturbance", ["kill", "hang"])
def test_without_redis_the_leader_goes_on_and_everything_heals(
    nodes: tuple[RunningNode, RunningNode],
    faulty_redis: RedisServer,
    postgres_server: PostgresServer,
    database_name: str,
    disturbance: str,
) -> None:
    first, second = nodes
    leader, follower = leader_first(nodes)
    before = term(postgres_server, database_name)
    getattr(faulty_redis, disturbance)()
    wait_until(
        lambda: leader.statuses()[follower.node_id] == "unknown", SHOWN_SECONDS, "the other node being called unknown"
    )
    wait_until(lambda: first.api.get("/health").json()["status"] == "degraded", SHOWN_SECONDS, "degraded health")
    deadline = time.monotonic() + 12  # longer than a lease
    while time.monotonic() < deadline:
        for each in nodes:
            asked = time.monotonic()
            assert each.overview()["leader"] == before[1]
            assert each.statuses()[each.node_id] == "active"
            assert time.monotonic() - asked < 1
            appended = each.api.post(
                "/api/v1/flexcore/events", json={"type": "Counted", "aggregate_id": each.node_id, "aggregate_type": "T"}
            )
            assert appended.status_code == 201
        time.sleep(0.2)
    assert term(postgres_server, database_name) == before
    if disturbance == "kill":
        # It comes back empty, as after the loss of its disk.
        (faulty_redis.directory / "appendonlydir").rename(faulty_redis.directory / "lost")
    faulty_redis.ensure_running()
    both = {"core1": "active", "core2": "active"}
    wait_until(lambda: first.statuses() == both == second.statuses(), SEEN_SECONDS, "both nodes being seen again")
    wait_until(lambda: agreed(first, second), SEEN_SECONDS, "a leader")
    for each in nodes:
        wait_until(each.ready, SHOWN_SECONDS, "readiness")
        assert each.api.get("/health").json()["status"] == "healthy"


def test_another_node_is_drained_and_resumed(nodes: tuple[RunningNode, RunningNode]) -> None:
    first, second = nodes
    with executing(second.api, seconds=2) as answer:
        drained = first.api.post(CLUSTER + "/nodes/core2/drain")
        assert (drained.status_code, drained.json()["status"]) == (200, "draining")
        wait_until(lambda: not second.ready(), SHOWN_SECONDS, "the node being drained")
        ready = second.api.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["reasons"] == ["drain: node core2 is drained and takes nothing new until it is resumed"]
        assert second.api.get("/health").json()["status"] == "healthy"
        refused = second.api.post(EXECUTE, json={"operation": "echo"})
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert answer.result().status_code == 200
        assert answer.result().json()["result"]["success"] is True
    wait_until(lambda: first.statuses()["core2"] == "drained", SEEN_SECONDS, "the drain's end being seen")
    # A node out of work leaves the lead to the other one.
    wait_until(lambda: {first.leader(), second.leader()} == {"core1"}, ELECTED_SECONDS, "the other node's lead")
    assert first.api.post(EXECUTE, json={"operation": "echo"}).status_code == 200
    resumed = first.api.post(CLUSTER + "/nodes/core2/resume")
    assert (resumed.status_code, resumed.json()["status"]) == (200, "active")
    wait_until(second.ready, SHOWN_SECONDS, "the node being ready again")
    assert second.api.post(EXECUTE, json={"operation": "echo"}).status_code == 200
    wait_until(lambda: first.statuses()["core2"] == "active", SEEN_SECONDS, "its return being seen")


def test_a_drained_node_takes_no_jobs(nodes: tuple[RunningNode, RunningNode]) -> None:
    first, second = nodes

    def queue(asked: RunningNode, number: int) -> list[str]:
        answers = [asked.api.post(EXECUTE + "?async=true", json={"operation": "echo"}) for _ in range(number)]
        assert {answer.status_code for answer in answers} == {202}
        return [answer.json()["execution_id"] for answer in answers]

    def execution(execution_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = first.api.get(f"/api/v1/flexcore/executions/{execution_id}").json()
        return answer

    def end(execution_id: str) -> str:
        wait_until(lambda: execution(execution_id)["status"] == "completed", ELECTED_SECONDS, "the execution's end")
        return str(execution(execution_id)["node_id"])

    first.api.post(CLUSTER + "/nodes/core2/drain")
    wait_until(lambda: second.statuses()["core2"] == "drained", SHOWN_SECONDS, "the drain")
    assert second.api.post(EXECUTE + "?async=true", json={"operation": "echo"}).status_code == 503
    assert {end(execution_id) for execution_id in queue(first, 6)} == {"core1"}
    first.api.post(CLUSTER + "/nodes/core2/resume")
    first.api.post(CLUSTER + "/nodes/core1/drain")
    wait_until(second.ready, SHOWN_SECONDS, "the node being ready again")
    assert {end(execution_id) for execution_id in queue(second, 6)} == {"core2"}


def test_a_drain_survives_the_nodes_restart(environ: dict[str, str]) -> None:
    with node(environ, "core1") as before:
        assert before.api.post(CLUSTER + "/nodes/core1/drain").json()["status"] == "drained"
        assert not before.ready()
        before.process.signal(signal.SIGKILL)
    with node(environ, "core1") as after:
        assert after.statuses() == {"core1": "drained"}
        assert not after.ready()
        assert after.api.post(EXECUTE, json={"operation": "echo"}).status_code == 503
        # Alone, it still leads: somebody has to.
        wait_until(lambda: after.leader() == "core1", ELECTED_SECONDS, "the lead")
        assert after.api.post(CLUSTER + "/nodes/core1/resume").json()["status"] == "active"
        wait_until(after.ready, SHOWN_SECONDS, "readiness")
        assert after.api.post(EXECUTE, json={"operation": "echo"}).status_code == 200


def test_a_node_can_be_drained_while_redis_is_away(
    nodes: tuple[RunningNode, RunningNode], faulty_redis: RedisServer
) -> None:
    first, second = nodes
    faulty_redis.kill()
    wait_until(lambda: first.statuses()["core2"] == "unknown", SHOWN_SECONDS, "the other node being called unknown")
    assert first.api.post(CLUSTER + "/nodes/core2/drain").status_code == 200
    wait_until(lambda: second.statuses()["core2"] == "drained", SHOWN_SECONDS, "the drain")
    faulty_redis.ensure_running()
    wait_until(lambda: first.statuses()["core2"] == "drained", SEEN_SECONDS, "the drain being seen")


def test_the_end_is_in_order_and_leaves_nothing_in_redis(
    nodes: tuple[RunningNode, RunningNode], redis_server: RedisServer
) -> None:
    for each in nodes:
        each.process.signal(signal.SIGTERM)
    for each in nodes:
        assert each.process.wait() == 0
        assert each.process.log[-1]["message"] == "stopped"
        assert not [line for line in each.process.log if line["level"] == "error"]
    with redis_server.connect() as client:
        assert client.keys("flexcore:*") == []
