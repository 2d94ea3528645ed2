"""Pipelines run by real servers: results handed on, retries, policies, cancel, and a node that dies in mid-step."""

import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import PostgresServer, wait_until

PIPELINES = "/api/v1/flexcore/pipelines"
EVENTS = "/api/v1/flexcore/events"
ONCE = {"max_attempts": 1}
SOON = {"max_attempts": 3, "initial_backoff_ms": 50, "jitter": 0}
ENDED = ("completed", "failed", "cancelled")


@pytest.fixture
def second(environ: dict[str, str]) -> Iterator[FlexCoreProcess]:
    """Another node."""
    with running({**environ, "FLEXCORE_NODE_ID": "core2"}) as process:
        yield process


def step(step_id: str, operation: str, *depends_on: str, **more: Any) -> dict[str, Any]:
    return {"id": step_id, "plugin": "simple-processor", "operation": operation, "depends_on": depends_on, **more}


def wait_step(step_id: str, seconds: float, *depends_on: str, **more: Any) -> dict[str, Any]:
    return step(step_id, "wait", *depends_on, parameters={"seconds": seconds}, **more)


def failing(step_id: str, *depends_on: str, **more: Any) -> dict[str, Any]:
    """A step whose plugin says that the work did not succeed."""
    return step(step_id, "sum", *depends_on, parameters={"numbers": ["x"]}, **more)


def start(client: httpx.Client, *steps: dict[str, Any], **parameters: Any) -> str:
    """Create, activate and execute a pipeline; gives its address."""
    created = client.post(PIPELINES, json={"name": "test", "steps": steps})
    assert created.status_code == 201, created.text
    one = f"{PIPELINES}/{created.json()['id']}"
    assert client.post(f"{one}/activate").status_code == 200
    started = client.post(f"{one}/execute", json={"parameters": parameters})
    assert started.status_code == 202, started.text
    assert started.json()["status"] == "started"
    return one


def status(client: httpx.Client, one: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{one}/status").json()
    return found


def ended(client: httpx.Client, one: str, seconds: float = 20) -> dict[str, Any]:
    wait_until(lambda: status(client, one)["status"] in ENDED, seconds, "the end of the run")
    return status(client, one)


def steps(found: dict[str, Any]) -> dict[str, str]:
    return {item["id"]: item["status"] for item in found["steps"]}


def events(client: httpx.Client, one: str) -> list[dict[str, Any]]:
    pipeline_id = one.rpartition("/")[2]
    found: list[dict[str, Any]] = client.get(EVENTS, params={"aggregate_id": pipeline_id, "limit": 1000}).json()[
        "events"
    ]
    return found


def test_results_go_from_step_to_step(checked: httpx.Client) -> None:
    one = start(
        checked,
        step("shout", "uppercase", parameters={"text": {"$from": "parameters.text"}}),
        step("turn", "reverse", parameters={"text": {"$from": "parameters.text"}}),
        step(
            "collect",
            "echo",
            "shout",
            "turn",
            parameters={
                "both": [{"$from": "steps.shout.text"}, {"$from": "steps.turn.text"}],
                "none": {"$from": "steps.turn.nothing", "default": "not there"},
            },
        ),
        text="abc",
    )
    found = ended(checked, one)
    assert found["status"] == "completed"
    assert found["progress"] == {"steps_done": 3, "steps_total": 3, "percent": 100.0}
    last = found["steps"][2]
    execution = checked.get(f"/api/v1/flexcore/executions/{last['execution_id']}").json()
    assert execution["result"]["data"] == {"both": ["ABC", "cba"], "none": "not there"}
    assert (execution["pipeline_id"], execution["step_id"]) == (found["id"], "collect")
    recorded = events(checked, one)
    assert [event["type"] for event in recorded[:3]] == ["PipelineCreated", "PipelineActivated", "PipelineStarted"]
    assert recorded[-1]["type"] == "PipelineCompleted"
    # Results may be large or secret: they are not in the log, which is never shortened.
    assert "ABC" not in str(recorded)
    pipeline = checked.get(one).json()
    assert (pipeline["status"], pipeline["runs"]) == ("completed", 1)
    again = checked.post(f"{one}/execute", json={"parameters": {"text": "x"}}).json()
    assert again["estimated_duration_seconds"] > 0
    assert ended(checked, one)["execution_id"] == again["execution_id"]
    assert checked.get("/api/v1/flexcore/status").json()["metrics"]["pipelines_running"] == 0


def test_the_correlation_id_of_the_run_is_that_of_its_steps(checked: httpx.Client) -> None:
    one = start(checked, step("a", "echo"))
    ended(checked, one)
    headers = {"x-correlation-id": "trace-7"}
    checked.post(f"{one}/execute", json={"metadata": {"user_id": "ada"}}, headers=headers)
    found = ended(checked, one)
    run = [event for event in events(checked, one) if event["data"].get("execution_id") == found["execution_id"]]
    assert {event["metadata"]["correlation_id"] for event in run} == {"trace-7"}
    assert {event["metadata"]["user_id"] for event in run} == {"api_token for ada"}


def test_a_failing_step_is_tried_again_and_then_fails_the_run(checked: httpx.Client) -> None:
    one = start(checked, failing("a", retry=SOON), wait_step("b", 60), step("c", "echo", "a"))
    found = ended(checked, one)
    assert (found["status"], steps(found)) == ("failed", {"a": "failed", "b": "cancelled", "c": "skipped"})
    assert found["steps"][0]["attempt"] == 3
    assert (found["steps"][0]["reason"], found["steps"][0]["error"]) == ("unsuccessful", "numbers[0] is not a number")
    failures = [event["data"] for event in events(checked, one) if event["type"] == "PipelineStepFailed"]
    assert [failure["retry_in_ms"] for failure in failures] == [50, 100, None]
    stopped = found["steps"][1]["execution_id"]
    wait_until(lambda: execution_status(checked, stopped) == "cancelled", 10, "the other step to be stopped")


def execution_status(client: httpx.Client, execution_id: str) -> str:
    return str(client.get(f"/api/v1/flexcore/executions/{execution_id}").json()["status"])


def test_what_follows_a_failure_is_the_steps_policy(checked: httpx.Client) -> None:
    one = start(
        checked,
        failing("a", retry=ONCE, on_failure="skip_dependents"),
        step("b", "echo", "a"),
        failing("c", retry=ONCE, on_failure="continue"),
        step("d", "echo", "c", parameters={"x": {"$from": "steps.c.sum", "default": 0}}),
    )
    found = ended(checked, one)
    assert (found["status"], steps(found)) == (
        "completed", {"a": "failed", "b": "skipped", "c": "failed", "d": "completed"},
    )  # fmt: skip
    assert events(checked, one)[-1]["data"]["failed_steps"] == ["a", "c"]


def test_a_step_beyond_its_time_times_out(checked: httpx.Client) -> None:
    one = start(checked, wait_step("a", 60, timeout_seconds=1, retry=ONCE))
    found = ended(checked, one)
    assert (found["status"], found["steps"][0]["reason"]) == ("failed", "timed_out")


def test_a_reference_that_leads_nowhere_fails_the_step_without_another_try(checked: httpx.Client) -> None:
    one = start(checked, step("a", "echo"), step("b", "echo", "a", parameters={"x": {"$from": "steps.a.nothing"}}))
    found = ended(checked, one)
    assert (found["steps"][1]["reason"], found["steps"][1]["attempt"]) == ("refused", 1)
    assert "leads nowhere" in found["steps"][1]["error"]


def test_a_parameter_that_a_step_needs_is_asked_for_at_the_start(checked: httpx.Client) -> None:
    steps_ = [step("a", "uppercase", parameters={"text": {"$from": "parameters.text"}})]
    pipeline = checked.post(PIPELINES, json={"name": "test", "steps": steps_}).json()
    checked.post(f"{PIPELINES}/{pipeline['id']}/activate")
    answer = checked.post(f"{PIPELINES}/{pipeline['id']}/execute")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "parameters.text")


def test_cancel_stops_what_runs_on_whichever_node(checked: httpx.Client, second: FlexCoreProcess) -> None:
    one = start(checked, *(wait_step(f"s{number}", 60) for number in range(4)), step("z", "echo", "s0"))
    wait_until(lambda: [*steps(status(checked, one)).values()].count("running") == 4, 20, "all four steps to run")
    assert checked.get("/api/v1/flexcore/status").json()["metrics"]["pipelines_running"] == 1
    assert checked.post(f"{one}/execute").status_code == 409
    assert checked.delete(one).status_code == 409
    with second.client() as client:
        cancelled = client.post(f"{one}/cancel", json={"reason": "enough"}).json()
    assert (cancelled["status"], {*steps(cancelled).values()}) == ("cancelled", {"cancelled"})
    for item in cancelled["steps"][:4]:
        wait_until(
            lambda item=item: execution_status(checked, item["execution_id"]) == "cancelled", 10, "a step to stop"
        )
    last = events(checked, one)[-1]
    assert (last["type"], last["data"]["reason"]) == ("PipelineCancelled", "enough")
    assert checked.post(f"{one}/cancel").status_code == 409


def test_an_idempotency_key_begins_one_run_of_two_requests(checked: httpx.Client) -> None:
    one = start(checked, step("a", "echo"))
    ended(checked, one)
    headers = {"idempotency-key": "run-1"}
    first = checked.post(f"{one}/execute", headers=headers)
    ended(checked, one)
    again = checked.post(f"{one}/execute", headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert checked.get(one).json()["runs"] == 2


def test_a_disabled_plugin_refuses_the_step_until_it_is_enabled(checked: httpx.Client) -> None:
    plugin = "/api/v1/flexcore/plugins/simple-processor"
    checked.post(f"{plugin}/disable")
    one = start(checked, step("a", "echo", retry={"max_attempts": 50, "initial_backoff_ms": 100, "multiplier": 1}))
    wait_until(lambda: status(checked, one)["steps"][0]["reason"] == "refused", 10, "a refusal")
    checked.post(f"{plugin}/enable")
    assert ended(checked, one)["status"] == "completed"


def test_a_step_whose_node_is_killed_is_taken_over(
    flexcore: FlexCoreProcess, checked: httpx.Client, second: FlexCoreProcess
) -> None:
    with second.client() as survivor:
        one = start(checked, wait_step("a", 5), wait_step("b", 5), step("c", "echo", "a", "b"))
        wait_until(lambda: [*steps(status(checked, one)).values()].count("running") == 2, 20, "both steps to run")
        nodes = {item["node_id"] for item in status(checked, one)["steps"] if item["node_id"]}
        killed = flexcore if "core1" in nodes else second
        left = survivor if killed is flexcore else checked
        killed.signal(signal.SIGKILL)
        found = ended(left, one, seconds=60)
        recorded = events(left, one)
    assert found["status"] == "completed"
    lost = [event["data"] for event in recorded if event["type"] == "PipelineStepFailed"]
    assert lost
    assert {failure["reason"] for failure in lost} == {"node_lost"}
    assert {failure["retry_in_ms"] for failure in lost} == {0}
    ends = [(e["data"]["step_id"], e["data"]["attempt"]) for e in recorded if e["type"] == "PipelineStepCompleted"]
    assert sorted(step_id for step_id, _ in ends) == ["a", "b", "c"]
    assert [event["type"] for event in recorded].count("PipelineCompleted") == 1


def test_a_step_that_ends_while_postgresql_is_away_is_recorded_afterwards(
    faulty_postgres: PostgresServer, api: httpx.Client
) -> None:
    one = start(api, wait_step("a", 3, retry=ONCE), step("b", "echo", "a"))
    wait_until(lambda: steps(status(api, one))["a"] == "running", 20, "the step to run")
    faulty_postgres.kill()
    wait_until(lambda: api.get(f"{one}/status").status_code == 503, 10, "PostgreSQL to be missed")
    # Longer than the step takes.
    wait_until(lambda: any("can't be recorded yet" in line["message"] for line in logged(api)), 20, "the step's end")
    faulty_postgres.ensure_running()
    wait_until(lambda: api.get("/health/ready").status_code == 200, 20, "PostgreSQL to be found again")
    found = ended(api, one)
    assert (found["status"], found["steps"][0]["attempt"]) == ("completed", 1)


def logged(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/v1/flexcore/logs", params={"component": "pipelines"}).json()["logs"]
    return found


def test_a_step_that_may_run_once_only_fails_with_its_node(
    flexcore: FlexCoreProcess, checked: httpx.Client, environ: dict[str, str]
) -> None:
    one = start(checked, wait_step("a", 30, retry=ONCE))
    wait_until(lambda: steps(status(checked, one)) == {"a": "running"}, 20, "the step to run")
    flexcore.signal(signal.SIGKILL)
    flexcore.wait()
    with running({**environ, "FLEXCORE_NODE_ID": "core2"}) as process, process.client() as client:
        found = ended(client, one, seconds=60)
    assert (found["status"], found["steps"][0]["reason"]) == ("failed", "node_lost")
