"""Asynchronous executions, their answers, repeated requests and cancellation, over two nodes."""

import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.integration.executions.conftest import EXECUTE, EXECUTIONS, RunningNode
from tests.servers import wait_until

Nodes = dict[str, RunningNode]


def runs_a_plugin(node: RunningNode) -> bool:
    """Whether a node runs a plugin now."""
    return "flexcore_plugin_executions_running 1.0" in node.api.get("/metrics").text


def test_it_is_answered_at_once_and_run_by_some_node(nodes: Nodes) -> None:
    execution_id = nodes["core1"].queue("echo", text="a\0b", nested={"list": [1, None, "ü"]})
    found = nodes["core2"].wait_for(execution_id, "completed")
    assert found["result"] == {"success": True, "data": {"text": "a\0b", "nested": {"list": [1, None, "ü"]}}}
    assert (found["result_note"], found["attempt"], found["success"]) == (None, 1, True)
    assert found["node_id"] in nodes
    assert found["queued_at"] <= found["started_at"] <= found["completed_at"]
    kinds = [event["type"] for event in nodes["core1"].events(execution_id)]
    assert kinds == ["PluginExecutionQueued", "PluginExecutionStarted", "PluginExecutionCompleted"]


def test_the_list_holds_them_newest_first(nodes: Nodes) -> None:
    ids = [nodes["core1"].queue("echo", number=number) for number in range(5)]
    for execution_id in ids:
        nodes["core1"].wait_for(execution_id, "completed")
    waited = nodes["core2"].execute("sum", numbers=["no number"]).json()["execution_id"]
    api = nodes["core2"].api
    first = api.get(EXECUTIONS, params={"limit": 4}).json()
    assert [found["execution_id"] for found in first["executions"]] == [waited, *reversed(ids[2:])]
    assert first["has_more"]
    rest = api.get(EXECUTIONS, params={"limit": 4, "cursor": first["next_cursor"]}).json()
    assert [found["execution_id"] for found in rest["executions"]] == ids[1::-1]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)
    assert api.get(EXECUTIONS, params={"plugin_id": "json-processor"}).json()["executions"] == []
    assert len(api.get(EXECUTIONS, params={"status": "completed"}).json()["executions"]) == 6
    assert api.get(EXECUTIONS, params={"status": "lost"}).status_code == 400
    assert api.get(EXECUTIONS, params={"limit": 1000}).status_code == 400
    details = nodes["core1"].get(waited)
    assert (details["success"], details["result"]) == (False, None)
    assert "Idempotency-Key" in details["result_note"]


def test_what_there_is_not_is_not_found(nodes: Nodes) -> None:
    for name in ("nobody", "%00", "%ff", "01890000-0000-7000-8000-000000000000"):
        assert nodes["core1"].api.get(f"{EXECUTIONS}/{name}").status_code == 404
        assert nodes["core1"].api.post(f"{EXECUTIONS}/{name}/cancel").status_code == 404
    assert nodes["core1"].api.post(EXECUTE, params={"async": "perhaps"}, json={}).status_code == 400


def test_an_answer_that_is_too_large_is_not_kept(start: Callable[..., RunningNode]) -> None:
    node = start("core1", FLEXCORE_EXECUTION_MAX_KEPT_RESULT_BYTES="1000")
    small, large = node.queue("echo", text="x" * 900), node.queue("echo", text="x" * 1100)
    assert node.wait_for(small, "completed")["result"]["data"]["text"] == "x" * 900
    found = node.wait_for(large, "completed")
    assert found["result"] is None
    assert re.match(r"not kept: its 11\d\d bytes are more than", found["result_note"])


def test_a_running_one_is_killed_on_the_other_node(nodes: Nodes) -> None:
    execution_id = nodes["core1"].queue("wait", seconds=50)
    runner = nodes[nodes["core1"].wait_for(execution_id, "running")["node_id"]]
    other = next(node for node in nodes.values() if node is not runner)
    wait_until(lambda: runs_a_plugin(runner), 10, "the plugin's process")
    answer = other.cancel(execution_id)
    assert (answer.status_code, answer.json()) == (200, {"execution_id": execution_id, "status": "cancelled"})
    wait_until(lambda: not runs_a_plugin(runner), 10, "the end of the plugin's process")
    found = other.get(execution_id)
    assert (found["status"], found["node_id"], found["result"]) == ("cancelled", runner.node_id, None)
    assert other.cancel(execution_id).status_code == 409
    assert runner.ends(execution_id) == ["PluginExecutionFailed"]


def test_one_that_somebody_waits_for_is_cancelled_from_another_node(nodes: Nodes) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(nodes["core1"].execute, "wait", seconds=50)
        wait_until(lambda: runs_a_plugin(nodes["core1"]), 10, "the plugin's process")
        (running,) = nodes["core2"].api.get(EXECUTIONS, params={"status": "running"}).json()["executions"]
        assert nodes["core2"].cancel(running["execution_id"]).json()["status"] == "cancelled"
        problem = answer.result().json()
    assert (problem["status"], problem["execution_id"]) == (409, running["execution_id"])
    assert problem["type"].endswith("/execution-cancelled")


def test_a_queued_one_is_cancelled_without_running(start: Callable[..., RunningNode]) -> None:
    node = start("core1", FLEXCORE_EXECUTION_SLOTS="1")
    running = node.queue("wait", seconds=50)
    node.wait_for(running, "running")
    waiting = node.queue("echo")
    assert node.get(waiting)["status"] == "queued"
    assert node.cancel(waiting).json()["status"] == "cancelled"
    assert node.cancel(running).json()["status"] == "cancelled"
    after = node.queue("echo")
    node.wait_for(after, "completed")
    assert [event["type"] for event in node.events(waiting)] == ["PluginExecutionQueued", "PluginExecutionFailed"]
    assert (node.get(waiting)["status"], node.get(waiting)["attempt"]) == ("cancelled", 0)


def test_the_same_key_is_one_execution_on_all_nodes(nodes: Nodes) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: nodes[f"core{n % 2 + 1}"].queue("echo", key="k-1", number=7), range(8)))
    assert len(set(ids)) == 1
    found = nodes["core1"].wait_for(ids[0], "completed")
    assert found["attempt"] == 1
    assert nodes["core2"].queue("echo", key="k-1", number=7) == ids[0]
    other = nodes["core2"].execute("echo", key="k-1", asynchronous=True, number=8)
    assert (other.status_code, "k-1" in other.json()["detail"]) == (409, True)
    assert len(nodes["core1"].api.get(EXECUTIONS).json()["executions"]) == 1


def test_the_same_key_gets_the_first_answer(nodes: Nodes) -> None:
    first = nodes["core1"].execute("echo", key="k-2", number=7)
    again = nodes["core2"].execute("echo", key="k-2", number=7)
    assert (again.status_code, again.json()) == (200, first.json())
    failed = [nodes[name].execute("wait", timeout=1, key="k-3", seconds=50) for name in nodes]
    assert [answer.status_code for answer in failed] == [504, 504]
    assert len({answer.json()["execution_id"] for answer in failed}) == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(nodes["core1"].execute, "wait", key="k-4", seconds=50)
        wait_until(lambda: runs_a_plugin(nodes["core1"]), 10, "the plugin's process")
        early = nodes["core2"].execute("wait", key="k-4", seconds=50)
        assert early.status_code == 409
        found = re.search(f"GET {EXECUTIONS}/([0-9a-f-]+) tells", early.json()["detail"])
        assert found is not None
        nodes["core2"].cancel(found[1])
        assert waiting.result().status_code == 409
    assert nodes["core2"].execute("wait", key="k-4", seconds=50).json()["type"].endswith("/execution-cancelled")
    assert len(nodes["core1"].api.get(EXECUTIONS).json()["executions"]) == 3


def test_a_bad_key_is_refused(nodes: Nodes) -> None:
    for key in ("", "x" * 201, "ü"):
        headers = httpx.Headers({"idempotency-key": key}, encoding="utf-8")
        assert nodes["core1"].api.post(EXECUTE, headers=headers, json={}).status_code == 400


def test_a_node_that_stops_hands_on_what_it_runs(nodes: Nodes, start: Callable[..., RunningNode]) -> None:
    leaving = start("leaving", FLEXCORE_DRAIN_SECONDS="1", FLEXCORE_JOBS_CONCURRENCY="8")
    for node_id, node in nodes.items():
        assert node.api.post(f"/api/v1/flexcore/cluster/nodes/{node_id}/drain").status_code == 200
    own = [leaving.queue("wait", seconds=8) for _ in range(4)]
    for execution_id in own:
        assert leaving.wait_for(execution_id, "running")["node_id"] == "leaving"
    for node_id, node in nodes.items():
        assert node.api.post(f"/api/v1/flexcore/cluster/nodes/{node_id}/resume").status_code == 200
    leaving.signal(signal.SIGTERM)
    assert leaving.process.wait() == 0
    for execution_id in own:
        found = nodes["core1"].wait_for(execution_id, "completed", seconds=60)
        assert (found["attempt"], found["node_id"] in nodes) == (2, True)
        assert nodes["core1"].ends(execution_id) == ["PluginExecutionCompleted"]
