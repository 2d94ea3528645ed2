"""Every module that changes something, against the real server: predicted, done, and done already."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.modules.conftest import RunModule
from tests.integration.server.flexcore_process import TOKEN

Result = dict[str, Any]
Do = Callable[..., Result]
STEPS = [
    {
        "id": "turn",
        "plugin": "simple-processor",
        "operation": "reverse",
        "parameters": {"text": {"$from": "parameters.text"}},
    },
    {
        "id": "count",
        "plugin": "simple-processor",
        "operation": "count",
        "depends_on": ["turn"],
        "parameters": {"text": {"$from": "steps.turn.text"}},
        "timeout_seconds": 10,
        "retry": {"max_attempts": 2},
        "on_failure": "continue",
    },
]


@pytest.fixture
def do(api: httpx.Client, run_module: RunModule) -> Do:
    """Run a module on the server."""

    def run(name: str, /, check_mode: bool = False, **arguments: Any) -> Result:
        connection = {"url": str(api.base_url), "token": TOKEN, "timeout": 30}
        return run_module(name, check_mode=check_mode, **{**connection, **arguments})

    return run


def promised(do: Do, name: str, /, again: bool = False, **arguments: Any) -> Result:
    """Predict, do, and do once more; return what was done."""
    predicted, done = do(name, check_mode=True, **arguments), do(name, **arguments)
    assert "failed" not in done, done["msg"]
    assert (predicted["changed"], done["changed"]) == (True, True)
    assert predicted["diff"] == done["diff"]
    for check_mode in (True, False):
        second = do(name, check_mode=check_mode, **arguments)
        assert second["changed"] is again, json.dumps(second["diff"], indent=1)
    return done


def test_plugins_are_switched_and_executed_once_for_each_key(do: Do) -> None:
    promised(do, "flexcore_plugin", id="simple-processor", state="disabled")
    refused = do("flexcore_plugin_execute", check_mode=True, id="simple-processor")
    assert (refused["failure"], refused["http_status"]) == ("api_error", 409)
    assert do("flexcore_plugin_execute", id="simple-processor")["http_status"] == 409
    promised(do, "flexcore_plugin", id="simple-processor", state="enabled")
    order = {"id": "simple-processor", "operation": "reverse", "data": {"text": "abc"}}
    first = promised(do, "flexcore_plugin_execute", **order, key="turn-abc-1")
    assert first["execution"]["result"]["data"]["text"] == "cba"
    second = do("flexcore_plugin_execute", **order, key="turn-abc-1")
    assert (second["repeated"], second["execution"]) == (True, first["execution"])
    assert do("flexcore_plugin_execute", **order)["execution"]["execution_id"] != first["execution"]["execution_id"]


def test_an_execution_that_fails_says_why(do: Do) -> None:
    result = do("flexcore_plugin_execute", id="simple-processor", operation="reverse", data={"text": 7})
    assert result["failed"]
    assert result["failure"] == "api_error"
    assert "text" in result["msg"]


def test_events_are_recorded_once_and_the_chain_is_verified(do: Do) -> None:
    event = {"type": "ReleaseDeployed", "aggregate_type": "Application", "aggregate_id": "shop"}
    first = promised(do, "flexcore_event", **event, data={"release": "2.4.0"}, key="shop-2.4.0")
    promised(do, "flexcore_event", **event, data={"release": "2.5.0"}, expected_version=1)
    for check_mode in (True, False):
        late = do("flexcore_event", check_mode=check_mode, **event, data={"release": "3"}, expected_version=1)
        assert (late["failure"], late["http_status"]) == ("api_error", 409)
    found = do("flexcore_event_info", aggregate_id="shop", verify=True, fail_on_unverified=True)
    assert [one["data"]["release"] for one in found["events"]] == ["2.4.0", "2.5.0"]
    assert found["events"][0]["id"] == first["event"]["id"]
    assert found["verification"]["verified"]
    assert do("flexcore_event_info", aggregate_id="shop", limit=1)["truncated"]


def test_a_pipeline_is_declared_run_and_removed(do: Do) -> None:
    declared = {"name": "look", "owner": "docs", "description": "turn and count", "steps": STEPS}
    promised(do, "flexcore_pipeline", **declared, state="present")
    draft = do("flexcore_pipeline_run", check_mode=True, name="look")
    assert (draft["failure"], "draft" in draft["msg"]) == ("api_error", True)
    promised(do, "flexcore_pipeline", **declared)
    run = promised(do, "flexcore_pipeline_run", name="look", parameters={"text": "a b"}, key="look-1")
    assert run["run"]["run_status"] == "completed"
    assert run["results"]["turn"]["text"] == "b a"
    second = do("flexcore_pipeline_run", name="look", parameters={"text": "c"})
    assert second["changed"]
    earlier = do("flexcore_pipeline_run", name="look", key="look-1")
    assert (earlier["changed"], earlier["run"]) == (
        False,
        {"execution_id": run["run"]["execution_id"], "run_status": "completed"},
    )
    (found,) = do("flexcore_pipeline_info", name="look", status="completed")["pipelines"]
    assert found["run"]["execution_id"] == second["run"]["execution_id"]
    changed = {**declared, "steps": [STEPS[0]]}
    assert "step count" in do("flexcore_pipeline", check_mode=True, **changed)["msg"]
    promised(do, "flexcore_pipeline", **changed, recreate=True)
    promised(do, "flexcore_pipeline", name="look", state="absent")
    assert do("flexcore_pipeline_info", name="look")["pipelines"] == []


def test_a_node_is_drained_and_resumed(do: Do) -> None:
    assert promised(do, "flexcore_node", node_id="core1", state="drained")["node"]["status"] == "drained"
    assert [node["node_id"] for node in do("flexcore_node_info", status="drained")["nodes"]] == ["core1"]
    assert promised(do, "flexcore_node", node_id="core1", state="active")["node"]["status"] == "active"
    unknown = do("flexcore_node", check_mode=True, node_id="core9", state="drained")
    assert "Known are: core1" in unknown["msg"]


def test_what_the_server_says_of_itself(do: Do) -> None:
    found = do("flexcore_info", gather=["status", "runtime", "metrics", "config"])
    assert (found["dialect"], found["node_id"]) == ("flexcore-v1", "core1")
    assert found["status"]["dependencies"]["redis"]["status"] == "healthy"
    assert found["runtime"]["slots"]["total"] > 0
    assert found["metrics"]
    assert TOKEN not in json.dumps(found["config"])
    assert do("flexcore_services_info", name="nobody")["services"] == []
    records = do("flexcore_logs", level="info", component="flexcore.executions", source="http", pattern="(?i)execut")
    assert "failed" not in records, records["msg"]


def test_a_token_is_made_once_and_revoked(do: Do, tmp_path: Path) -> None:
    token = {"name": "monitoring", "path": str(tmp_path / "token")}
    made = promised(do, "flexcore_token", **token, role="viewer")
    assert "token" not in made
    own = {"token": "", "token_file": str(tmp_path / "token")}
    assert do("flexcore_pipeline_info", **own)["pipelines"] == []
    refused = do("flexcore_node", node_id="core1", state="drained", **own)
    assert (refused["failure"], refused["http_status"]) == ("http_status", 403)
    promised(do, "flexcore_token", **token, role="operator", expires_at="2099-01-01T00:00:00Z")
    promised(do, "flexcore_token", name="monitoring", state="absent")
    assert do("flexcore_pipeline_info", **own)["http_status"] == 401


def test_a_package_is_installed_replaced_and_removed(do: Do, tmp_path: Path) -> None:
    first, second = (greeter(tmp_path, version) for version in ("1.0.0", "1.1.0"))
    promised(do, "flexcore_plugin", src=first)
    executed = do("flexcore_plugin_execute", id="greeter", data={"name": "Ada"})
    assert executed["execution"]["result"]["data"] == {"said": "Hello, Ada, from 1.0.0"}
    promised(do, "flexcore_plugin", src=second, state="enabled")
    promised(do, "flexcore_plugin", id="greeter", state="disabled")
    (found,) = do("flexcore_plugin_info", id="greeter")["plugins"]
    assert (found["version"], found["status"]) == ("1.1.0", "inactive")
    promised(do, "flexcore_plugin", id="greeter", state="absent")
    assert do("flexcore_plugin_info", id="greeter")["plugins"] == []


def greeter(directory: Path, version: str) -> str:
    """A package of a plugin with one command."""
    manifest = f"""
id = "greeter"
name = "Greeter"
version = "{version}"
type = "processor"
description = "Greets people"
entry_point = "greeter:Greeter"

[commands.greet]
description = "Say hello"
default = true

[commands.greet.parameters]
type = "object"
required = ["name"]
properties = {{ name = {{ type = "string" }} }}
"""
    code = f"""
class Greeter:
    def __init__(self, configuration):
        pass

    def greet(self, name):
        return {{"said": f"Hello, {{name}}, from {version}"}}
"""
    path = directory / f"greeter-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {"flexcore-plugin.toml": manifest, "greeter.py": code}.items():
            member = tarfile.TarInfo(f"greeter/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return str(path)
