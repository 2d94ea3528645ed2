"""Commands and queries over HTTP: done once, on whichever node and after whichever restart they come again."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import wait_until

COMMANDS = "/api/v1/flexcore/commands"
QUERIES = "/api/v1/flexcore/queries"
PIPELINES = "/api/v1/flexcore/pipelines"
EVENTS = "/api/v1/flexcore/events"
DEFINITION = {"name": "orders", "steps": [{"id": "a", "plugin": "simple-processor"}]}


@pytest.fixture
def second(environ: dict[str, str]) -> Iterator[httpx.Client]:
    """A client of another node."""
    with running({**environ, "FLEXCORE_NODE_ID": "core2"}) as process, process.client() as client:
        yield client


def command(command_type: str, **body: Any) -> dict[str, Any]:
    return {"command_type": command_type, "command_id": str(uuid.uuid4()), **body}


def send(client: httpx.Client, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = client.post(COMMANDS, json=body)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


def events(client: httpx.Client, **query: Any) -> list[str]:
    return [event["type"] for event in client.get(EVENTS, params=query).json()["events"]]


def test_a_pipelines_life_by_commands(checked: httpx.Client) -> None:
    created = send(checked, command("CreatePipeline", payload=DEFINITION))
    assert created["status"] == "accepted"
    assert created["result"]["events_generated"] == 1
    pipeline_id = created["result"]["aggregate_id"]
    assert checked.get(f"{PIPELINES}/{pipeline_id}").json()["status"] == "draft"
    send(checked, command("StartPipeline", aggregate_id=pipeline_id), 409)
    send(checked, command("ActivatePipeline", aggregate_id=pipeline_id))
    again = send(checked, command("ActivatePipeline", aggregate_id=pipeline_id))
    assert again["result"]["events_generated"] == 0
    started = send(checked, command("StartPipeline", aggregate_id=pipeline_id), 202)
    assert started["result"]["execution_id"]
    assert events(checked, aggregate_id=pipeline_id)[:3] == ["PipelineCreated", "PipelineActivated", "PipelineStarted"]


def test_a_command_sent_again_gives_the_first_answer_and_no_event(
    flexcore: FlexCoreProcess, checked: httpx.Client, second: httpx.Client
) -> None:
    create = command("CreatePipeline", payload=DEFINITION, metadata={"user_id": "ada"})
    first = send(checked, create)
    assert send(checked, create) == first
    assert send(second, create) == first
    activate = command("ActivatePipeline", aggregate_id=first["result"]["aggregate_id"])
    activated = send(second, activate)
    count = checked.get("/api/v1/flexcore/status").json()["metrics"]["events_processed"]
    assert send(checked, activate) == activated
    assert send(second, create) == first
    assert checked.get("/api/v1/flexcore/status").json()["metrics"]["events_processed"] == count


def test_a_command_sent_again_after_a_restart_gives_the_first_answer(environ: dict[str, str]) -> None:
    create = command("CreatePipeline", payload=DEFINITION)
    with running(environ) as process, process.client() as client:
        first = send(client, create)
    with running(environ) as process, process.client() as client:
        assert send(client, create) == first
        assert client.get(PIPELINES).json()["total"] == 1


def test_another_request_under_the_same_command_id_is_a_409(checked: httpx.Client) -> None:
    create = command("CreatePipeline", payload=DEFINITION)
    send(checked, create)
    send(checked, {**create, "payload": {**DEFINITION, "name": "others"}}, 409)
    send(checked, {**create, "command_type": "ActivatePipeline", "aggregate_id": "x", "payload": {}}, 409)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"command_type": "Explode"}, "command_type"),
        ({"command_id": ""}, "command_id"),
        ({"payload": {**DEFINITION, "colour": "red"}}, "payload.colour"),
        ({"payload": {"name": "n", "steps": []}}, "payload.steps"),
        ({"payload": {"name": "n", "steps": [{"id": "a", "plugin": "nope"}]}}, "steps[0].plugin"),
        ({"aggregate_id": "x"}, "aggregate_id"),
    ],
)
def test_a_wrong_command_is_a_400_that_names_the_field(
    checked: httpx.Client, change: dict[str, Any], field: str
) -> None:
    problem = send(checked, command("CreatePipeline", payload=DEFINITION) | change, 400)
    assert problem["errors"][0]["field"] == field


def test_commands_about_what_is_not_there_are_404(checked: httpx.Client) -> None:
    for command_type in ("ActivatePipeline", "StartPipeline", "CancelPipeline"):
        send(checked, command(command_type, aggregate_id="nope"), 404)
    for command_type in ("EnablePlugin", "DisablePlugin", "RemovePlugin", "RegisterPlugin"):
        send(checked, command(command_type, aggregate_id="nope"), 404)


def test_plugins_are_disabled_and_enabled(checked: httpx.Client) -> None:
    plugin = "/api/v1/flexcore/plugins/simple-processor"
    disabled = send(checked, command("DisablePlugin", aggregate_id="simple-processor"))
    assert disabled["result"] == {"aggregate_id": "simple-processor", "events_generated": 1, "execution_id": None}
    assert checked.post(f"{plugin}/execute", json={}).status_code == 409
    assert checked.post(f"{plugin}/disable").json()["status"] == "inactive"
    assert checked.post(f"{plugin}/enable").json()["status"] == "active"
    assert send(checked, command("EnablePlugin", aggregate_id="simple-processor"))["result"]["events_generated"] == 0
    assert checked.post(f"{plugin}/execute", json={}).status_code == 200
    assert events(checked, aggregate_id="simple-processor")[:3] == [
        "PluginRegistered",
        "PluginDisabled",
        "PluginEnabled",
    ]
    for verb in ("enable", "disable"):
        assert checked.post(f"/api/v1/flexcore/plugins/nope/{verb}").status_code == 404


def test_an_execution_by_command_runs_once(checked: httpx.Client) -> None:
    execute = command(
        "ExecutePlugin",
        aggregate_id="simple-processor",
        payload={"operation": "uppercase", "parameters": {"data": {"text": "flex"}}},
        metadata={"user_id": "ada"},
    )
    first = send(checked, execute, 202)
    assert send(checked, execute, 202) == first
    one = f"/api/v1/flexcore/executions/{first['result']['execution_id']}"
    wait_until(lambda: checked.get(one).json()["status"] == "completed", 10, "the execution to end")
    assert checked.get(one).json()["result"]["data"] == {"text": "FLEX"}
    assert checked.get(one).json()["user_id"] == "api_token for ada"
    assert events(checked, aggregate_id="simple-processor").count("PluginExecutionStarted") == 1
    send(checked, {**execute, "payload": {"operation": "lowercase"}}, 409)
    send(checked, command("ExecutePlugin", aggregate_id="simple-processor", payload={"operation": "nope"}), 400)
    send(checked, command("ExecutePlugin", aggregate_id="nope"), 404)


def test_a_plugin_that_came_with_flexcore_stays(checked: httpx.Client) -> None:
    problem = send(checked, command("RemovePlugin", aggregate_id="json-processor"), 409)
    assert "comes with FlexCore" in problem["detail"]
    assert checked.delete("/api/v1/flexcore/plugins/json-processor").status_code == 409
    assert checked.delete("/api/v1/flexcore/plugins/nope").status_code == 404
    registered = send(checked, command("RegisterPlugin", aggregate_id="json-processor"))
    assert registered["result"]["events_generated"] == 0


def test_queries(checked: httpx.Client) -> None:
    pipeline_id = checked.post(PIPELINES, json=DEFINITION).json()["id"]

    def ask(query_type: str, status: int = 200, **parameters: Any) -> Any:
        body = {"query_type": query_type, "query_id": "q-1", "parameters": parameters}
        answer = checked.post(QUERIES, json=body)
        assert answer.status_code == status, answer.text
        return answer.json().get("data")

    assert ask("GetPipelineStatus", pipeline_id=pipeline_id) == checked.get(f"{PIPELINES}/{pipeline_id}/status").json()
    ask("GetPipelineStatus", 404, pipeline_id="nope")
    plugins = ask("ListActivePlugins", limit=2)
    assert len(plugins["plugins"]) == 2 < plugins["total"]
    ask("ListActivePlugins", 400, limit=0)
    execution = checked.post("/api/v1/flexcore/plugins/simple-processor/execute", json={}).json()
    (row,) = ask("GetExecutionHistory", plugin_id="simple-processor")["executions"]
    assert (row["execution_id"], row["status"]) == (execution["execution_id"], "completed")
    ask("GetExecutionHistory", 400, cursor="x")
    assert ask("GetSystemMetrics")["executions_completed"] == 1
    ask("GetWeather", 400)
