"""The plugin sandbox as operators meet it: it dies and comes back, and what was installed is there after everything."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.lab.deployments import Deployment
from tests.lab.escape import packages
from tests.lab.hosts import LabHost, eventually

API = "/api/v1/flexcore"
NOTICED_SECONDS = 5
READY_SECONDS = 60
GREETER = """
class Greeter:
    def __init__(self, configuration):
        self.configuration = configuration

    def attempt(self, name):
        return {"greeting": f"Hello, {name}"}
"""


class Node:
    """The node of the one host, and what this module does with it."""

    def __init__(self, host: LabHost, token: str) -> None:
        self.host = host
        self.api = httpx.Client(
            base_url=f"http://{host.address}:8080", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    def is_ready(self) -> bool:
        try:
            return self.api.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def plugin_runtime(self) -> dict[str, Any]:
        """What health says of the component that runs plugins."""
        component: dict[str, Any] = self.api.get("/health?detail=true").json()["components"]["plugin_runtime"]
        return component

    def greets(self) -> bool:
        """Whether the installed plugin answers."""
        body = {"operation": "attempt", "parameters": {"timeout_seconds": 20, "data": {"name": "host"}}}
        try:
            answer = self.api.post(f"{API}/plugins/greeter/execute", json=body)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["result"]["data"] == {"greeting": "Hello, host"}

    def main_pid(self, unit: str) -> str:
        return self.host.run(f"systemctl show --property MainPID --value {unit}").stdout.strip()


@pytest.fixture(scope="module")
def node(deployment: Deployment) -> Iterator[Node]:
    """The node with a plugin installed as a package."""
    node = Node(deployment.lab.hosts["lab1"], deployment.secrets["api_token"])
    package = packages.tar_gz(
        {
            "flexcore-plugin.toml": packages.manifest("greeter", 'entry_point = "greeter:Greeter"'),
            "greeter.py": GREETER,
        }
    )
    files = {"package": ("greeter.tar.gz", package, "application/octet-stream")}
    answer = node.api.post(f"{API}/plugins", files=files)
    assert answer.status_code in (200, 201), answer.text
    yield node
    eventually("the node is ready", node.is_ready, READY_SECONDS)
    node.api.delete(f"{API}/plugins/greeter").raise_for_status()
    node.api.close()


@pytest.fixture(autouse=True)
def _working(node: Node) -> Iterator[None]:
    """Every test finds a node on which the plugin answers, and leaves one."""
    eventually("the plugin answers", node.greets, READY_SECONDS)
    yield
    eventually("the plugin answers again", node.greets, READY_SECONDS)


def test_health_tells_of_a_sandbox_that_is_away_and_sees_it_return(node: Node) -> None:
    node.host.run("sudo systemctl stop flexcore-sandbox")
    try:
        eventually(
            "health says that plugins can't run",
            lambda: node.plugin_runtime()["status"] != "healthy",
            NOTICED_SECONDS,
        )
        assert "sandbox" in node.plugin_runtime()["message"]
        assert not node.greets()
    finally:
        node.host.run("sudo systemctl start flexcore-sandbox")
    eventually("health sees it return", lambda: node.plugin_runtime()["status"] == "healthy", READY_SECONDS)


def test_a_sandbox_that_dies_comes_back_without_the_server_and_without_hands(node: Node) -> None:
    server, sandbox = node.main_pid("flexcore.service"), node.main_pid("flexcore-sandbox.service")
    node.host.kill_service("flexcore-sandbox.service")
    eventually(
        "systemd starts another", lambda: node.main_pid("flexcore-sandbox.service") not in ("0", sandbox), READY_SECONDS
    )
    eventually("the plugin answers again", node.greets, READY_SECONDS)
    assert node.main_pid("flexcore.service") == server


def test_a_server_that_dies_finds_its_sandbox_again(node: Node) -> None:
    node.host.kill_service("flexcore.service")
    eventually("the node is ready", node.is_ready, READY_SECONDS)
    eventually("the plugin answers again", node.greets, READY_SECONDS)


def test_both_restart_with_the_server_so_that_both_run_one_release(node: Node) -> None:
    sandbox = node.main_pid("flexcore-sandbox.service")
    node.host.run("sudo systemctl restart flexcore")
    assert node.main_pid("flexcore-sandbox.service") not in ("0", sandbox)
    started = "systemctl show --property ActiveEnterTimestampMonotonic --value"
    units = [int(node.host.run(f"{started} {unit}").stdout) for unit in ("flexcore-sandbox", "flexcore")]
    assert units == sorted(units)


def test_stopping_leaves_no_process_and_no_group_behind(node: Node) -> None:
    assert node.greets()
    try:
        node.host.run("sudo systemctl stop flexcore")
        processes, groups = "pgrep --uid flexcore-sandbox", "find /sys/fs/cgroup -path '*flexcore-sandbox.service*'"
        eventually("no process is left", lambda: node.host.run(processes, check=False).stdout == "")
        eventually("no group is left", lambda: node.host.run(groups, check=False).stdout == "")
    finally:
        node.host.run("sudo systemctl start flexcore")


def test_plugins_and_users_outlive_the_power(node: Node) -> None:
    user = {"name": f"u{uuid.uuid4().hex[:8]}", "password": "correct-horse-battery", "role": "operator"}
    made = node.api.post(f"{API}/users", json=user)
    assert made.status_code == 201, made.text
    try:
        node.host.kill()
        node.host.start()
        eventually("the node is ready", node.is_ready, READY_SECONDS)
        eventually("the plugin answers", node.greets, READY_SECONDS)
        login = node.api.post("/auth/login", json={"username": user["name"], "password": user["password"]})
        assert login.status_code == 200, login.text
    finally:
        eventually("the node is ready", node.is_ready, READY_SECONDS)
        node.api.delete(f"{API}/users/{user['name']}")


def test_the_first_admin_logs_in_with_the_inventorys_password(deployment: Deployment, node: Node) -> None:
    login = node.api.post("/auth/login", json={"username": "admin", "password": deployment.secrets["admin"]})
    assert login.status_code == 200, login.text
    bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
    assert json.loads(node.api.get("/auth/me", headers=bearer).text)["role"] == "admin"


def test_the_operators_command_builds_and_checks_a_package(node: Node) -> None:
    said = node.host.run("sudo flexcore plugin --help").stdout
    assert "build" in said
    assert "check" in said
