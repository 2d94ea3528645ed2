"""Nodes that die, nodes that sleep, and a PostgreSQL that restarts: nothing lost, nothing ended twice."""

import signal
import time

import pytest

from tests.integration.executions.conftest import EXECUTIONS, RunningNode
from tests.servers import PostgresServer, wait_until

TAKEN_OVER_SECONDS = 30.0

Nodes = dict[str, RunningNode]


def begun(nodes: Nodes, seconds: float) -> tuple[str, RunningNode, RunningNode]:
    """Begin an execution; returns its id, the node that runs it, and the other."""
    execution_id = nodes["core1"].queue("wait", seconds=seconds)
    runner = nodes[nodes["core2"].wait_for(execution_id, "running")["node_id"]]
    other = next(node for node in nodes.values() if node is not runner)
    return execution_id, runner, other


def test_a_killed_node_is_taken_over_from_and_nothing_is_doubled(nodes: Nodes) -> None:
    execution_id, dead, living = begun(nodes, seconds=3)
    waiting = [dead.queue("wait", seconds=0.1) for _ in range(20)]
    dead.signal(signal.SIGKILL)
    killed = time.monotonic()
    living.wait_for(execution_id, "completed", seconds=TAKEN_OVER_SECONDS + 3)
    for other in waiting:
        living.wait_for(other, "completed", seconds=max(0.1, killed + TAKEN_OVER_SECONDS + 3 - time.monotonic()))
    found = living.get(execution_id)
    assert (found["node_id"], found["attempt"], found["result"]["success"]) == (living.node_id, 2, True)
    for each in (execution_id, *waiting):
        kinds = [event["type"] for event in living.events(each)]
        assert kinds.count("PluginExecutionQueued") == kinds.count("PluginExecutionCompleted") == 1
        assert len(kinds) == 2 + living.get(each)["attempt"]


def test_a_node_that_slept_records_no_second_end(nodes: Nodes) -> None:
    # Its plugin goes on meanwhile, so that the sleeper wakes up to an answer.
    execution_id, sleeper, awake = begun(nodes, seconds=1)
    sleeper.signal(signal.SIGSTOP)
    try:
        found = awake.wait_for(execution_id, "completed", seconds=TAKEN_OVER_SECONDS + 1)
        assert (found["node_id"], found["attempt"]) == (awake.node_id, 2)
    finally:
        sleeper.signal(signal.SIGCONT)
    sleeper.process.wait_for_log("job ")
    assert awake.ends(execution_id) == ["PluginExecutionCompleted"]
    assert awake.get(execution_id) == found
    after = sleeper.queue("echo")
    assert sleeper.wait_for(after, "completed")["attempt"] == 1
    assert [line for line in sleeper.process.log if line["level"] == "error"] == []


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_postgresql_restarts_while_jobs_run(nodes: Nodes, faulty_postgres: PostgresServer, how: str) -> None:
    ids = [nodes[f"core{number % 2 + 1}"].queue("wait", seconds=2) for number in range(12)]
    nodes["core1"].wait_for(ids[-1], "running", "completed")
    getattr(faulty_postgres, how)()
    faulty_postgres.start()
    api = nodes["core1"].api

    def completed(execution_id: str) -> bool:
        answer = api.get(f"{EXECUTIONS}/{execution_id}")
        assert answer.status_code in {200, 503}
        return answer.status_code == 200 and answer.json()["status"] == "completed"

    for execution_id in ids:
        wait_until(lambda execution_id=execution_id: completed(execution_id), 60, "the end of an execution")
        found = nodes["core1"].get(execution_id)
        assert found["attempt"] == 1
        assert nodes["core1"].ends(execution_id) == ["PluginExecutionCompleted"]
