"""Every command of every built-in plugin once, through the API, in the sandbox, against real neighbours."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flexcore.infrastructure.sandbox.catalogue import BuiltinPlugins
from tests.doubles import http_double
from tests.doubles.http_double import HttpDouble, Reply
from tests.integration.server.flexcore_process import running
from tests.servers import PostgresServer

ORDERS = [{"id": 1, "customer": "Ada", "price": "2.5"}, {"id": 2, "customer": "Bob", "price": "4"}]
CSV = {"format": "csv", "text": "a,b\n1,x\n2,\n"}

# Plugin and command: the parameters, and what is in the answer.
CALLS: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("json-processor", "describe"): ({"a": [1]}, {"keys": ["a"], "depth": 2}),
    ("json-processor", "select"): ({"document": {"a": [1, 2]}, "pointer": "/a/1"}, {"value": 2}),
    ("json-processor", "merge"): ({"document": {"a": 1}, "patch": {"b": 2}}, {"document": {"a": 1, "b": 2}}),
    ("json-processor", "diff"): ({"before": 1, "after": 1}, {"equal": True}),
    ("json-processor", "parse"): ({"text": "[1]"}, {"document": [1]}),
    ("json-processor", "format"): ({"document": [], "indent": 0}, {"text": "[]"}),
    ("simple-processor", "echo"): ({"x": 1}, {"x": 1}),
    ("simple-processor", "uppercase"): ({"text": "a"}, {"text": "A"}),
    ("simple-processor", "lowercase"): ({"text": "A"}, {"text": "a"}),
    ("simple-processor", "reverse"): ({"text": "ab"}, {"text": "ba"}),
    ("simple-processor", "count"): ({"text": "a b"}, {"words": 2}),
    ("simple-processor", "sum"): ({"numbers": [1, 2]}, {"sum": 3}),
    ("simple-processor", "wait"): ({"seconds": 0}, {"waited_seconds": 0}),
    ("data-transformer", "transform"): (
        {"records": ORDERS, "steps": [{"cast": {"fields": {"price": "number"}}}, {"filter": {"where": "price > 3"}}]},
        {"records": [{"id": 2, "customer": "Bob", "price": 4}]},
    ),
    ("data-transformer", "filter"): ({"records": ORDERS, "where": "id == 1"}, {"records": ORDERS[:1]}),
    ("data-transformer", "map"): (
        {"records": ORDERS[:1], "fields": {"twice": "id * 2"}, "keep": False},
        {"records": [{"twice": 2}]},
    ),
    ("data-transformer", "rename"): ({"records": [{"a": 1}], "fields": {"a": "b"}}, {"records": [{"b": 1}]}),
    ("data-transformer", "select"): ({"records": ORDERS[:1], "fields": ["id"]}, {"records": [{"id": 1}]}),
    ("data-transformer", "cast"): ({"records": [{"a": "1"}], "fields": {"a": "integer"}}, {"records": [{"a": 1}]}),
    ("data-transformer", "aggregate"): (
        {"records": ORDERS, "aggregates": {"n": {"function": "count"}}},
        {"records": [{"n": 2}]},
    ),
    ("data-transformer", "sort"): (
        {"records": ORDERS, "by": [{"field": "id", "descending": True}]},
        {"records": ORDERS[::-1]},
    ),
    ("data-transformer", "deduplicate"): ({"records": [{"a": 1}, {"a": 1}]}, {"records": [{"a": 1}]}),
    ("data-processor", "health"): ({}, {"status": "healthy"}),
    ("data-processor", "convert"): (
        {"source": CSV, "target": {"format": "ndjson"}},
        {"text": '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n'},
    ),
    ("data-processor", "describe"): ({"source": CSV}, {"rows": 2}),
    ("postgres-processor", "health"): ({}, {"status": "healthy"}),
    ("postgres-processor", "execute"): ({"sql": "CREATE TABLE items (id int, name text)"}, {"rows_affected": 0}),
    ("postgres-processor", "copy_in"): ({"table": "items", "format": "csv", "text": "id,name\n1,x\n"}, {"rows": 1}),
    ("postgres-processor", "query"): (
        {"sql": "SELECT * FROM items WHERE id = $1", "parameters": [1]},
        {"rows": [{"id": 1, "name": "x"}], "truncated": False},
    ),
    ("postgres-processor", "copy_out"): ({"table": "items", "format": "ndjson"}, {"text": '{"id":1,"name":"x"}\n'}),
    ("flext-service", "health"): ({}, {"status_code": 200, "body": {"status": "ok"}}),
    ("flext-service", "list_plugins"): ({}, {"body": [{"name": "tap-oracle"}]}),
    ("flext-service", "execute_pipeline"): ({"pipeline": {"name": "p"}}, {"body": {"ran": {"name": "p"}}}),
    ("flext-service", "execute_singer_pipeline"): (
        {"tap": "tap-oracle", "target": "target-jsonl"},
        {
            "body": {
                "ran": {"tap": "tap-oracle", "target": "target-jsonl", "config": {}, "catalog": None, "state": None}
            }
        },
    ),
    ("flext-service", "pipeline_status"): ({"pipeline_id": "a b"}, {"body": {"status": "running"}}),
    ("flext-service", "run_dbt"): (
        {"project_path": "sales", "models": ["orders"]},
        {"body": {"ran": {"project_path": "sales", "models": ["orders"], "vars": {}, "target": "dev"}}},
    ),
}


def ran(seen: http_double.Seen) -> Reply:
    return Reply({"ran": seen.json})


FLEXT_SERVICE: Any = {
    "/health": Reply({"status": "ok"}),
    "/api/v1/plugins": Reply([{"name": "tap-oracle"}]),
    "POST /api/v1/meltano/execute": ran,
    "POST /api/v1/pipelines/execute": ran,
    "/api/v1/pipelines/a%20b/status": Reply({"status": "running"}),
    "POST /api/v1/transformations/dbt/run": ran,
    "/api/v1/pipelines/unknown/status": Reply({"error": "no such pipeline"}, status=404),
}


def test_no_command_is_forgotten() -> None:
    codes = BuiltinPlugins().all().values()
    assert set(CALLS) == {(code.manifest.id, command.name) for code in codes for command in code.manifest.commands}


@pytest.fixture
def flext_service() -> Iterator[HttpDouble]:
    with http_double.serving(FLEXT_SERVICE) as double:
        yield double


@pytest.fixture
def api(
    environ: dict[str, str],
    tmp_path: Path,
    flext_service: HttpDouble,
    postgres_server: PostgresServer,
    empty_database: str,
) -> Iterator[httpx.Client]:
    """A node that knows a FLEXT service, a database with its password, and two directories."""
    login = postgres_server.login(postgres_server.owner)
    for name in ("in", "out", "secrets"):
        (tmp_path / name).mkdir()
    (tmp_path / "out").chmod(0o777)
    (tmp_path / "secrets" / "plugin_secret_postgres-processor_default_password").write_text(f"{login.password}\n")
    file = tmp_path / "config.yaml"
    settings = {
        "services": {"flext-service": flext_service.url},
        "builtins": {
            "postgres_connections": {
                "default": f"postgresql://{login.user}@{login.host}:{login.port}/{empty_database}"
            },
            "read": [str(tmp_path / "in")],
            "write": [str(tmp_path / "out")],
        },
        "sandbox": {"credentials_directory": str(tmp_path / "secrets")},
    }
    file.write_text(yaml.safe_dump(settings))
    with running(environ, "--config", str(file)) as process, process.client() as client:
        yield client


def execute(api: httpx.Client, plugin: str, operation: str, data: dict[str, Any]) -> Any:
    body = {"operation": operation, "parameters": {"data": data}}
    answer = api.post(f"/api/v1/flexcore/plugins/{plugin}/execute", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def test_every_command_answers(api: httpx.Client, flext_service: HttpDouble) -> None:
    for (plugin, command), (data, expected) in CALLS.items():
        result = execute(api, plugin, command, data)
        assert result["success"], f"{plugin} {command}: {result}"
        assert {name: result["data"].get(name) for name in expected} == expected, f"{plugin} {command}"
    singer = next(seen for seen in flext_service.seen if seen.path == "/api/v1/pipelines/execute")
    assert singer.headers["x-pipeline-type"] == "singer"


def test_files_are_read_and_written_where_that_is_permitted(api: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "in" / "orders.csv").write_text("a,b\n1,x\n")
    (tmp_path / "config.csv").write_text("a\n1\n")
    source = {"format": "csv", "file": str(tmp_path / "in" / "orders.csv")}
    target = {"format": "json", "file": str(tmp_path / "out" / "orders.json")}
    result = execute(api, "data-processor", "convert", {"source": source, "target": target})
    assert result["success"], result
    assert (tmp_path / "out" / "orders.json").read_text() == '[\n{"a": 1, "b": "x"}\n]\n'
    elsewhere = {"format": "csv", "file": str(tmp_path / "config.csv")}
    refused = execute(api, "data-processor", "describe", {"source": elsewhere})
    assert not refused["success"]
    assert "can't be read: No such file or directory" in refused["data"]["error"]
    beside = {"format": "json", "file": str(tmp_path / "in" / "orders.json")}
    refused = execute(api, "data-processor", "convert", {"source": source, "target": beside})
    assert not refused["success"]
    assert "can't be written" in refused["data"]["error"]


def test_what_the_service_refuses_is_an_answer(api: httpx.Client) -> None:
    refused = execute(api, "flext-service", "pipeline_status", {"pipeline_id": "unknown"})
    assert not refused["success"]
    assert refused["data"]["error"] == "the FLEXT service answered 404"
    assert refused["data"]["status_code"] == 404
