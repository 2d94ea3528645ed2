"""What a node says about itself."""

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.integration.server.flexcore_process import FlexCoreProcess
from tests.servers import RedisServer, wait_until

RUNTIME = "/api/v1/flexcore/runtime"
SHOWN_SECONDS = 10.0


def workers(api: httpx.Client) -> dict[str, dict[str, Any]]:
    return {worker["name"]: worker for worker in api.get(RUNTIME + "/status").json()["workers"]}


def test_the_status_shows_what_runs_here(checked: httpx.Client, flexcore: FlexCoreProcess) -> None:
    wait_until(lambda: checked.get(RUNTIME + "/status").json()["leading"], SHOWN_SECONDS, "the lead")
    found = checked.get(RUNTIME + "/status").json()
    assert (found["node_id"], found["status"], found["environment"]) == ("core1", "active", "development")
    assert found["address"] == flexcore.url
    assert found["term"] >= 1
    assert found["slots"] == {"total": 128, "busy": 0, "free": 128, "waiting": 0}
    assert found["process"]["pid"] == flexcore.pid
    memory = found["process"]["memory"]
    assert 20 < memory["resident_mb"] <= memory["peak_resident_mb"] < 400
    wait_until(
        lambda: {worker["status"] for worker in workers(checked).values()} == {"running"}, SHOWN_SECONDS, "all at work"
    )
    assert list(workers(checked)) == ["jobs", "node_registry", "live_channel", "leader_election"]


def test_the_status_shows_a_drain(checked: httpx.Client) -> None:
    checked.post("/api/v1/flexcore/cluster/nodes/core1/drain")
    found = checked.get(RUNTIME + "/status").json()
    assert found["status"] == "drained"
    assert found["slots"] == {"total": 128, "busy": 0, "free": 0, "waiting": 0}


def test_the_status_shows_that_redis_is_away(checked: httpx.Client, faulty_redis: RedisServer) -> None:
    faulty_redis.kill()
    for name in ("node_registry", "live_channel"):
        wait_until(lambda name=name: workers(checked)[name]["status"] == "failing", SHOWN_SECONDS, f"a failing {name}")
    assert workers(checked)["node_registry"]["message"] == "Redis can't be reached"


def test_the_metrics_are_those_of_prometheus(checked: httpx.Client) -> None:
    event = {"type": "Counted", "aggregate_id": "1", "aggregate_type": "Test"}
    before = appended(checked)
    assert checked.post("/api/v1/flexcore/events", json=event).status_code == 201
    assert appended(checked) == before + 1
    assert f"flexcore_events_appended_total {appended(checked)}" in checked.get("/metrics").text


def appended(api: httpx.Client) -> float:
    metrics = api.get(RUNTIME + "/metrics").json()["metrics"]
    (value,) = [sample["value"] for sample in metrics if sample["name"] == "flexcore_events_appended_total"]
    return float(value)


def test_the_configuration_names_sources_and_hides_secrets(checked: httpx.Client, environ: dict[str, str]) -> None:
    answer = checked.get(RUNTIME + "/config")
    settings = {setting["name"]: setting for setting in answer.json()["settings"]}
    assert settings["http.port"] == {"name": "http.port", "value": 0, "source": "environment FLEXCORE_PORT"}
    assert settings["executions.slots"]["source"] == "default"
    for name in ("postgres.password", "redis.password", "auth.token"):
        assert settings[name]["value"] == "***"
    for secret in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert environ[secret] not in answer.text


@pytest.mark.parametrize("route", ["status", "metrics", "config"])
def test_they_need_the_token(flexcore: FlexCoreProcess, route: str) -> None:
    with flexcore.client(token=None) as api:
        assert api.get(f"{RUNTIME}/{route}").status_code == 401


def test_stopping_is_shown_as_draining(checked: httpx.Client, flexcore: FlexCoreProcess) -> None:
    body = {"operation": "wait", "parameters": {"timeout_seconds": 60, "data": {"seconds": 3}}}
    with ThreadPoolExecutor(1) as pool, flexcore.client() as api:
        running = pool.submit(api.post, "/api/v1/flexcore/plugins/simple-processor/execute", json=body)
        wait_until(
            lambda: checked.get(RUNTIME + "/status").json()["slots"]["busy"] == 1,
            SHOWN_SECONDS,
            "the execution's start",
        )
        flexcore.signal(signal.SIGTERM)
        flexcore.wait_for_log("stopping")
        found = checked.get(RUNTIME + "/status").json()
        assert (found["status"], found["slots"]["free"]) == ("draining", 0)
        assert running.result().status_code == 200
