"""Nodes on hosts of their own: work goes on when one of them is taken out of it, and when one loses power."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.lab.deployments import Deployment
from tests.lab.hosts import LabHost, eventually

API = "/api/v1/flexcore"
EXECUTE = f"{API}/plugins/simple-processor/execute"
READY_SECONDS = 60
# As promised, and the time the execution itself takes.
TAKEN_OVER_SECONDS = 30 + 5


class Core:
    """A FlexCore host, and a client of its node."""

    def __init__(self, host: LabHost, token: str) -> None:
        self.host = host
        self.api = httpx.Client(
            base_url=f"http://{host.address}:8080", headers={"Authorization": f"Bearer {token}"}, timeout=10
        )

    def get(self, path: str) -> dict[str, Any]:
        """The answer to a GET, whatever its status; empty if there is none."""
        with suppress(httpx.TransportError):
            answer: dict[str, Any] = self.api.get(path).json()
            return answer
        return {}

    def is_ready(self) -> bool:
        return self.get("/health/ready").get("status") == "ready"

    def statuses(self) -> dict[str, str]:
        """The nodes' statuses as this one sees them, by id."""
        return {node["node_id"]: node["status"] for node in self.get(f"{API}/cluster/nodes")["nodes"]}

    def execute(self, operation: str, data: dict[str, Any], **query: str) -> httpx.Response:
        body = {"operation": operation, "parameters": {"timeout_seconds": 60, "data": data}}
        return self.api.post(EXECUTE, params=query, json=body)


@pytest.fixture
def cores(cluster_deployment: Deployment) -> Iterator[tuple[Core, Core]]:
    """The cluster's two nodes, ready before and after."""
    token = cluster_deployment.secrets["api_token"]
    first, second = (Core(cluster_deployment.lab.hosts[name], token) for name in ("core1", "core2"))
    wait_until_ready(first, second)
    yield first, second
    wait_until_ready(first, second)
    for core in (first, second):
        core.api.close()


def wait_until_ready(*cores: Core) -> None:
    for core in cores:
        eventually(f"{core.host.name} is ready", core.is_ready, READY_SECONDS)


def test_a_drained_node_takes_nothing_until_it_is_resumed(cores: tuple[Core, Core]) -> None:
    core1, core2 = cores
    drained = core1.api.post(f"{API}/cluster/nodes/core2/drain")
    assert drained.status_code == 200, drained.text
    try:
        eventually("core2 is drained", lambda: core1.statuses() == {"core1": "active", "core2": "drained"})
        # A restart brings no work either.
        core2.host.run("sudo systemctl restart flexcore")
        eventually("core2 answers again", lambda: "reasons" in core2.get("/health/ready"), READY_SECONDS)
        assert "drain" in " ".join(core2.get("/health/ready")["reasons"])
        assert core2.execute("echo", {}).status_code == 503
        assert core1.execute("echo", {}).status_code == 200
    finally:
        resumed = core1.api.post(f"{API}/cluster/nodes/core2/resume")
    assert resumed.status_code == 200, resumed.text
    wait_until_ready(core2)
    assert core2.execute("echo", {}).status_code == 200


def test_an_execution_outlives_the_power_of_its_node(cores: tuple[Core, Core]) -> None:
    core1, core2 = cores
    core1.api.post(f"{API}/cluster/nodes/core1/drain").raise_for_status()
    try:
        eventually("core1 is drained", lambda: core1.statuses()["core1"] == "drained")
        queued = core2.execute("wait", {"seconds": 3}, **{"async": "true"})
        assert queued.status_code == 202, queued.text
        execution = f"{API}/executions/{queued.json()['execution_id']}"
        eventually("core2 runs it", lambda: core1.get(execution).get("node_id") == "core2")
        core2.host.kill()
    finally:
        core1.api.post(f"{API}/cluster/nodes/core1/resume").raise_for_status()
    try:
        eventually("core1 has done it", lambda: core1.get(execution)["status"] == "completed", TAKEN_OVER_SECONDS)
        assert core1.get(execution)["node_id"] == "core1"
        assert core1.get(execution)["attempt"] == 2
    finally:
        core2.host.start()
    wait_until_ready(core2)
    for core in cores:
        assert "verified: " in core.host.run("sudo flexcore events verify").stdout
