"""The scheduled health check runs, remembers what it found, and shows it."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.infra.node import Node

TIMER = "flexcore-health.timer"
SERVICE = "flexcore-health.service"
DIRECTORY = "/var/lib/flexcore-health"
MAXIMUM_EXPOSURE = 2.0

pytestmark = pytest.mark.unit(SERVICE)


@pytest.fixture
def timer(node: Node) -> dict[str, Any]:
    """What systemd says about the timer."""
    return node.probe("unit", unit=TIMER)


@pytest.fixture
def service(node: Node) -> dict[str, Any]:
    """What systemd says about the check that the timer starts."""
    return node.probe("unit", unit=SERVICE)


@pytest.fixture
def history(node: Node) -> dict[str, Any]:
    """The end of the check's history."""
    return node.probe("health_history", directory=DIRECTORY)


def test_the_timer_runs_and_starts_with_the_host(timer: dict[str, Any]) -> None:
    assert timer["properties"]["ActiveState"] == "active"
    assert timer["properties"]["UnitFileState"] == "enabled"


def test_the_last_run_succeeded(service: dict[str, Any]) -> None:
    assert service["properties"]["Result"] == "success"
    assert service["properties"]["ExecMainStatus"] == "0"


def test_the_last_run_is_recent(node: Node, history: dict[str, Any]) -> None:
    assert history["age_seconds"] <= 2 * node.variables["health_schedule_interval_seconds"]


def test_the_last_run_found_everything_healthy(history: dict[str, Any]) -> None:
    last = history["last"]
    assert {row["service"]: row["status"] for row in last["services"] if row["status"] != "HEALTHY"} == {}
    assert last["healthy"] is True


def test_the_check_looks_at_what_the_inventory_names(node: Node, history: dict[str, Any]) -> None:
    looked_at = {row["service"]: row["address"] for row in history["last"]["services"]}
    assert looked_at == {target["name"]: target["url"] for target in node.variables["health_schedule_targets"]}


def test_no_flexcore_host_and_no_data_service_is_left_out(node: Node, run) -> None:
    variables = node.variables
    checked = {urlsplit(target["url"]).hostname for target in variables["health_schedule_targets"]}
    assert {core.variables["ansible_host"] for core in run.group("flexcore")} <= checked
    assert {variables["flexcore_postgresql_host"], variables["flexcore_redis_host"]} <= checked


def test_the_status_page_shows_the_last_verdict(service: dict[str, Any], history: dict[str, Any]) -> None:
    assert f"all {len(history['last']['services'])} services healthy" in service["status"]


def test_the_history_is_bounded(history: dict[str, Any]) -> None:
    # Two files of 8 MiB: the one that grows, and the one before it.
    assert history["sizes"].keys() <= {"history.jsonl", "history.1.jsonl"}
    assert max(history["sizes"].values()) <= 8 * 1024 * 1024


def test_the_check_is_sandboxed(service: dict[str, Any]) -> None:
    assert service["exposure"] is not None, "systemd-analyze gave no exposure level"
    assert service["exposure"] <= MAXIMUM_EXPOSURE
