"""Pipelines are read as the server has them, one of them with its latest run, and from our own generation only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError
from flexcore_client.pipeline_work import bring_about, read_pipelines, run_pipeline

from tests.doubles import dialects
from tests.doubles.http_double import HttpDouble, Reply, serving
from tests.unit.client.asking import API, ask

PIPELINES = f"{API}/pipelines"


def read(double: HttpDouble, pipeline_id: str | None = None, name: str | None = None, status: str | None = None) -> Any:
    return ask(double, lambda client: read_pipelines(client, pipeline_id, name, status))


@pytest.mark.parametrize("status", [None, "failed"])
def test_all_pipelines_are_those_that_the_server_lists(status: str | None) -> None:
    with serving({PIPELINES: Reply({"pipelines": [{"id": "p1"}, {"id": "p2"}]})}) as double:
        assert read(double, status=status) == [{"id": "p1"}, {"id": "p2"}]
    assert [seen.query.get("status") for seen in double.seen] == [status]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"pipeline_id": "p1"}, True),
        ({"name": "look"}, True),
        ({"pipeline_id": "p1", "status": "completed"}, True),
        ({"pipeline_id": "p1", "status": "failed"}, False),
        ({"pipeline_id": "p2"}, False),
        ({"name": "none"}, False),
    ],
)
def test_one_pipeline_is_read_with_its_latest_run(wanted: dict[str, str], found: bool) -> None:
    there, run = {"id": "p1", "name": "look", "status": "completed"}, {"run_status": "completed"}
    routes = {
        PIPELINES: Reply({"pipelines": [there]}),
        f"{PIPELINES}/p1": Reply(there),
        f"{PIPELINES}/p2": Reply({"detail": "there is no pipeline p2"}, 404),
        f"{PIPELINES}/p1/status": Reply(run),
    }
    with serving(routes) as double:
        assert read(double, **wanted) == ([{**there, "run": run}] if found else [])


RUN = {"pipeline_id": "p1", "name": None, "parameters": {}, "key": None, "wait_seconds": None, "dry": True}
WORKS: dict[str, Callable[[FlexCoreClient], Awaitable[Any]]] = {
    "declared": lambda client: bring_about(client, {"name": "look"}, dry=True),
    "read": lambda client: read_pipelines(client, None, None, None),
    "run": lambda client: run_pipeline(client, **RUN),
}


@pytest.mark.parametrize("work", WORKS)
def test_other_generations_have_no_pipelines(work: str) -> None:
    with serving(dialects.legacy_2025()) as double, pytest.raises(ClientError) as caught:
        ask(double, WORKS[work], api="legacy-2025")
    assert caught.value.reason == "this server (legacy-2025) does not offer pipelines"
    assert double.seen == []
