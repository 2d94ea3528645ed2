"""The API over its socket: every route answers as the contract and the OpenAPI document say."""

import json
from typing import Any

import httpx
import pytest

from tests.infra.contract import BUILT_IN_PLUGINS
from tests.integration.server.flexcore_process import FlexCoreProcess
from tests.servers import PostgresServer, wait_until

PLUGINS = "/api/v1/flexcore/plugins"
EVENTS = "/api/v1/flexcore/events"


def execute(client: httpx.Client, plugin: str, **body: Any) -> httpx.Response:
    return client.post(f"{PLUGINS}/{plugin}/execute", json=body)


def test_every_plain_get_answers_as_described(checked: httpx.Client) -> None:
    paths = checked.get("/openapi.json").json()["paths"]
    plain = [
        path
        for path, operations in paths.items()
        if "get" in operations
        and "{" not in path
        # A stream does not end.
        and "text/event-stream" not in operations["get"]["responses"]["200"]["content"]
    ]
    assert len(plain) > 10
    for path in plain:
        assert checked.get(path).status_code == 200


def test_the_document_is_sound(checked: httpx.Client) -> None:
    document = checked.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text


def test_info_tells_what_runs_here(checked: httpx.Client) -> None:
    info = checked.get("/info").json()
    assert (info["service"], info["node_id"], info["api_versions"]) == ("flexcore", "core1", ["v1"])
    assert info["version"] == checked.get("/health").json()["version"]


@pytest.mark.parametrize(
    "path",
    [
        "/health/",
        "/",
    ],
)
def test_what_is_not_there_yet_does_not_pretend(api: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        answer = api.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_the_api_needs_the_token_and_the_open_routes_do_not(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    open_paths = {path for path, operations in paths.items() if all(not o["security"] for o in operations.values())}
    assert open_paths == {
        "/auth/login",
        "/health",
        "/health/live",
        "/health/ready",
        "/info",
        "/metrics",
        "/openapi.json",
    }
    with flexcore.client(token=None) as stranger:
        for path, operations in paths.items():
            for method in operations:
                answer = stranger.request(method, path.replace("{id}", "x").replace("{name}", "x"))
                assert (answer.status_code == 401) == (path not in open_paths), path
    with flexcore.client(token="another-token-0123456789") as stranger:
        assert stranger.get(PLUGINS).status_code == 401


def test_plugins_are_listed_in_pages(checked: httpx.Client) -> None:
    page = checked.get(PLUGINS).json()
    ids = [plugin["id"] for plugin in page["plugins"]]
    assert ids == sorted(BUILT_IN_PLUGINS)
    assert (page["total"], page["limit"], page["offset"]) == (len(ids), 50, 0)
    second = checked.get(PLUGINS, params={"limit": 1, "offset": 1}).json()
    assert ([plugin["id"] for plugin in second["plugins"]], second["total"]) == (ids[1:2], len(ids))
    assert checked.get(PLUGINS, params={"status": "inactive"}).json()["plugins"] == []
    assert checked.get(PLUGINS, params={"status": "broken"}).status_code == 400
    assert checked.get(PLUGINS, params={"limit": 1000}).status_code == 400


def test_an_unknown_plugin_is_a_404_everywhere(checked: httpx.Client) -> None:
    assert checked.get(f"{PLUGINS}/nope").status_code == 404
    assert checked.get(f"{PLUGINS}/nope/status").status_code == 404
    assert execute(checked, "nope", operation="x").status_code == 404
    assert checked.get("/api/v1/plugins/nope").status_code == 404
    assert checked.post("/api/v1/plugins/execute", json={"plugin": "nope", "args": {}}).status_code == 404


def test_an_execution_answers_and_leaves_its_events(checked: httpx.Client) -> None:
    body = {
        "operation": "uppercase",
        "parameters": {"timeout_seconds": 10, "data": {"text": "flex"}},
        "metadata": {"correlation_id": "order-66", "user_id": "ada"},
    }
    answer = execute(checked, "simple-processor", **body).json()
    assert answer["status"] == "completed"
    assert answer["result"]["success"] is True
    assert "FLEX" in json.dumps(answer["result"]["data"])
    assert answer["metadata"] == {"correlation_id": "order-66", "user_id": "api_token for ada"}
    events = checked.get(EVENTS, params={"aggregate_id": "simple-processor"}).json()["events"]
    assert [event["type"] for event in events] == [
        "PluginRegistered",
        "PluginExecutionStarted",
        "PluginExecutionCompleted",
    ]
    assert {event["metadata"]["correlation_id"] for event in events[1:]} == {"order-66"}
    status = checked.get(f"{PLUGINS}/simple-processor/status").json()
    assert status["metrics"]["successful_executions"] == 1
    metrics = checked.get("/metrics").text
    assert 'flexcore_plugin_executions_total{outcome="completed",plugin="simple-processor"} 1.0' in metrics


def test_the_requests_correlation_id_is_the_executions(checked: httpx.Client) -> None:
    answer = checked.post(f"{PLUGINS}/json-processor/execute", json={}, headers={"x-correlation-id": "trace-1"})
    assert answer.headers["x-correlation-id"] == "trace-1"
    assert answer.json()["metadata"]["correlation_id"] == "trace-1"


def test_an_execution_beyond_its_time_is_a_504(checked: httpx.Client) -> None:
    body = {"operation": "wait", "parameters": {"timeout_seconds": 1, "data": {"seconds": 60}}}
    answer = execute(checked, "simple-processor", **body)
    assert answer.status_code == 504
    assert answer.json()["execution_id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"operation": "nope"}, "operation"),
        ({"parameters": {"timeout_seconds": 0}}, "parameters.timeout_seconds"),
        ({"parameters": {"timeout_seconds": 301}}, "parameters.timeout_seconds"),
        ({"parameters": {"data": []}}, "parameters.data"),
        ({"parameter": {}}, "parameter"),
        ({"metadata": {"correlation_id": "a b"}}, "metadata.correlation_id"),
    ],
)
def test_a_wrong_execution_is_a_400_that_names_the_field(
    checked: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = execute(checked, "simple-processor", **body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_client_guide_routes(checked: httpx.Client) -> None:
    plugins = checked.get("/api/v1/plugins").json()
    assert [plugin["name"] for plugin in plugins] == sorted(BUILT_IN_PLUGINS)
    assert set(plugins[0]) == {"name", "version", "status", "dependencies", "entry_point"}
    assert checked.get("/api/v1/plugins/json-processor").json() in plugins
    arguments = {"text": "hello"}
    by_body = checked.post("/api/v1/plugins/execute", json={"plugin": "simple-processor", "args": arguments})
    by_path = checked.post("/api/v1/plugins/simple-processor/execute", json=arguments)
    assert by_body.json() == by_path.json() == arguments
    lines = checked.get("/api/v1/logs", params={"lines": 2}).json()["logs"]
    assert len(lines) == 2
    assert all(isinstance(line, str) for line in lines)


def test_events_are_appended_alone_and_in_batches(checked: httpx.Client) -> None:
    order = {"type": "OrderPlaced", "aggregate_id": "o-1", "aggregate_type": "Order", "data": {"total": 3}}
    first = checked.post(EVENTS, json=order | {"expected_version": 0})
    assert first.status_code == 201
    assert first.json()["version"] == 1
    assert checked.post(EVENTS, json=order | {"expected_version": 0}).status_code == 409
    batch = {"events": [order, order | {"expected_version": 7}]}
    assert checked.post(f"{EVENTS}/batch", json=batch).status_code == 409
    batch = {"events": [order, order | {"type": "OrderPaid"}]}
    recorded = checked.post(f"{EVENTS}/batch", json=batch).json()["events"]
    assert [event["version"] for event in recorded] == [2, 3]
    found = checked.get(EVENTS, params={"aggregate_id": "o-1"}).json()["events"]
    assert [event["type"] for event in found] == ["OrderPlaced", "OrderPlaced", "OrderPaid"]
    assert found[0]["metadata"]["correlation_id"] == first.headers["x-correlation-id"]


def test_events_page_by_cursor(checked: httpx.Client) -> None:
    for number in range(5):
        event = {"type": "Counted", "aggregate_id": f"c-{number}", "aggregate_type": "Counter"}
        assert checked.post(EVENTS, json=event).status_code == 201
    seen: list[str] = []
    parameters: dict[str, Any] = {"aggregate_type": "Counter", "limit": 2}
    while True:
        page = checked.get(EVENTS, params=parameters).json()
        seen += [event["aggregate_id"] for event in page["events"]]
        if not page["has_more"]:
            break
        parameters["cursor"] = page["next_cursor"]
    assert seen == ["c-0", "c-1", "c-2", "c-3", "c-4"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"aggregate_type": "Plugin"}, "aggregate_type"),
        ({"type": ""}, "type"),
        ({"type": "not a name"}, "type"),
        ({"expected_version": -1}, "expected_version"),
        ({"position": 1}, "position"),
    ],
)
def test_a_wrong_event_is_a_400_that_names_the_field(checked: httpx.Client, change: dict[str, Any], field: str) -> None:
    event = {"type": "OrderPlaced", "aggregate_id": "o-1", "aggregate_type": "Order"} | change
    answer = checked.post(EVENTS, json=event)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "query",
    ["limit=1001", "limit=0", "from_timestamp=yesterday", "from_timestamp=2025-01-01T00:00:00", "cursor=x", "page=2"],
)
def test_a_wrong_event_query_is_a_400(checked: httpx.Client, query: str) -> None:
    assert checked.get(f"{EVENTS}?{query}").status_code == 400


def test_logs_are_the_lines_on_stdout(flexcore: FlexCoreProcess, checked: httpx.Client) -> None:
    checked.get(f"{PLUGINS}/nope", headers={"x-correlation-id": "find-me"})
    page = checked.get("/api/v1/flexcore/logs", params={"correlation_id": "find-me"}).json()
    (record,) = page["logs"]
    assert record["message"] == f"GET {PLUGINS}/nope 404"
    assert (record["level"], record["component"], record["node_id"]) == ("info", "http", "core1")
    assert record["fields"]["status"] == 404
    wait_until(lambda: record in flexcore.log, 5, "the same record on stdout")


def test_logs_filter_and_follow(checked: httpx.Client) -> None:
    logs = "/api/v1/flexcore/logs"
    assert len(checked.get(logs, params={"lines": 1}).json()["logs"]) == 1
    assert checked.get(logs, params={"level": "critical"}).json()["logs"] == []
    assert checked.get(logs, params={"since": "5m", "component": "server"}).json()["logs"]
    cursor = checked.get(logs).json()["next_cursor"]
    checked.get(f"{PLUGINS}/nope")
    messages = [record["message"] for record in checked.get(logs, params={"cursor": cursor}).json()["logs"]]
    assert messages[-1] == f"GET {PLUGINS}/nope 404"
    for query in ("lines=0", "lines=10001", "level=loud", "since=never", "cursor=x"):
        assert checked.get(f"{logs}?{query}").status_code == 400


def test_postgresql_away_is_a_503_with_retry_after(faulty_postgres: PostgresServer, checked: httpx.Client) -> None:
    faulty_postgres.kill()
    answers = [
        checked.get(PLUGINS),
        checked.get(EVENTS),
        execute(checked, "json-processor"),
        checked.get("/api/v1/plugins"),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "PostgreSQL" in answer.json()["detail"]
