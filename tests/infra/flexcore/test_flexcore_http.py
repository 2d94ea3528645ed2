"""FlexCore answers HTTP as its contract says."""

from datetime import datetime
from typing import Any

import pytest

from tests.infra.contract import (
    API,
    BUILT_IN_PLUGINS,
    COMPONENTS,
    CORRELATION_ID,
    HEALTH_PATHS,
    OPEN_PATHS,
    TOKEN_PATHS,
    UNIT,
    UNKNOWN_PLUGIN,
)
from tests.infra.node import Node

pytestmark = pytest.mark.unit(UNIT)


def is_utc(text: str) -> bool:
    """Whether a time is RFC 3339 in UTC with `Z`."""
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None


def assert_problem(answer: dict[str, Any], status: int, path: str) -> None:
    """Judge a problem document (RFC 9457) by every member that the contract names."""
    assert answer["status"] == status
    assert answer["headers"]["content-type"] == "application/problem+json"
    problem = answer["body"]
    assert problem["type"].startswith("https://flexcore.flext.sh/problems/")
    assert problem["title"]
    assert problem["detail"]
    assert problem["status"] == status
    assert problem["instance"] == path
    assert problem["correlation_id"] == CORRELATION_ID
    assert is_utc(problem["timestamp"])


def test_health(node: Node, http: dict[str, Any]) -> None:
    answer = http["open"]["/health"]
    assert answer["status"] == 200, answer["body"]
    health = answer["body"]
    assert health.keys() == {"status", "service", "version", "uptime", "timestamp", "node_id"}
    assert health["status"] == "healthy"
    assert health["service"] == "flexcore"
    assert health["node_id"] == node.variables["flexcore_node_id"]
    assert isinstance(health["uptime"], int)
    assert is_utc(health["timestamp"])


def test_every_component_is_healthy(http: dict[str, Any]) -> None:
    components = http["open"]["/health?detail=true"]["body"]["components"]
    assert components.keys() == COMPONENTS
    assert {name: c["message"] for name, c in components.items() if c["status"] != "healthy"} == {}
    for name, component in components.items():
        assert is_utc(component["last_check"]), name
        assert component["response_time_ms"] >= 0, name


def test_is_alive_and_ready(http: dict[str, Any]) -> None:
    assert http["open"]["/health/live"]["status"] == 200
    assert http["open"]["/health/ready"]["status"] == 200, http["open"]["/health/ready"]["body"]


def test_info(node: Node, http: dict[str, Any]) -> None:
    info = http["open"]["/info"]["body"]
    assert info.keys() >= {"service", "version", "commit", "node_id", "environment", "started_at", "api_versions"}
    assert info["version"] == http["open"]["/health"]["body"]["version"]
    assert info["environment"] == node.variables["flexcore_environment"]


def test_the_deployed_release_is_what_runs(node: Node, http: dict[str, Any]) -> None:
    release = node.testinfra.file("/opt/flexcore/current").linked_to
    assert release.rpartition("/")[2] == http["open"]["/health"]["body"]["version"]


def test_metrics_are_prometheus_text(http: dict[str, Any]) -> None:
    answer = http["open"]["/metrics"]
    assert answer["status"] == 200
    assert answer["headers"]["content-type"].startswith("text/plain")
    assert [line for line in answer["body"].splitlines() if line.startswith("# TYPE flexcore_")]


def test_describes_itself(http: dict[str, Any]) -> None:
    document = http["open"]["/openapi.json"]["body"]
    assert document["openapi"].startswith("3.1")
    described = {path.partition("?")[0] for path in (*OPEN_PATHS, *TOKEN_PATHS)} - {UNKNOWN_PLUGIN}
    assert described <= document["paths"].keys()


@pytest.mark.parametrize("path", TOKEN_PATHS)
@pytest.mark.parametrize("caller", ["unknown", "wrong"])
def test_nothing_is_told_without_the_token(http: dict[str, Any], caller: str, path: str) -> None:
    answer = http[caller][path]
    assert_problem(answer, 401, path)
    assert answer["headers"]["www-authenticate"].startswith("Bearer")


def test_how_the_node_is_can_be_seen_by_whom_the_inventory_says(node: Node, http: dict[str, Any]) -> None:
    refused = {path for path in HEALTH_PATHS if http["unknown"].get(path, http["open"][path])["status"] == 401}
    assert refused == (set() if node.variables["flexcore_open_health"] else set(HEALTH_PATHS))


def test_status(http: dict[str, Any]) -> None:
    answer = http["known"][f"{API}/status"]
    assert answer["status"] == 200
    assert {name: d["status"] for name, d in answer["body"]["dependencies"].items()} == {
        "postgresql": "healthy",
        "redis": "healthy",
    }


def test_the_built_in_plugins_are_active(http: dict[str, Any]) -> None:
    page = http["known"][f"{API}/plugins"]["body"]
    assert page["total"] >= len(BUILT_IN_PLUGINS)
    assert {plugin["id"] for plugin in page["plugins"] if plugin["status"] == "active"} >= BUILT_IN_PLUGINS


def test_the_client_guides_list_names_the_same_plugins(http: dict[str, Any]) -> None:
    page = http["known"][f"{API}/plugins"]["body"]
    guide = http["known"]["/api/v1/plugins"]["body"]
    assert [plugin["name"] for plugin in guide] == [plugin["id"] for plugin in page["plugins"]]


def test_an_unknown_plugin_is_a_problem(http: dict[str, Any]) -> None:
    assert_problem(http["known"][UNKNOWN_PLUGIN], 404, UNKNOWN_PLUGIN)


def test_the_callers_correlation_id_comes_back(http: dict[str, Any]) -> None:
    for caller, answers in http.items():
        for path, answer in answers.items():
            assert answer["headers"].get("x-correlation-id") == CORRELATION_ID, f"{caller} {path}"
