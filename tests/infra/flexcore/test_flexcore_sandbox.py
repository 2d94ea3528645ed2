"""Plugins run apart from the server: under a unit and a user that have nothing worth stealing."""

from typing import Any

import pytest

from tests.infra.contract import NODE, PLUGINS_DIRECTORY, PRIVATE_PLACES, SANDBOX_SOCKET, SANDBOX_UNIT
from tests.infra.node import Node

pytestmark = pytest.mark.unit(SANDBOX_UNIT)

MAXIMUM_EXPOSURE = 2.0


@pytest.fixture
def sandbox_unit(node: Node) -> dict[str, Any]:
    """How systemd and the kernel run the sandbox."""
    return node.probe("unit", unit=SANDBOX_UNIT)


@pytest.fixture
def sandbox(node: Node, sandbox_unit: dict[str, Any]) -> dict[str, Any]:
    """What the host says of the sandbox."""
    pid = sandbox_unit["properties"]["MainPID"]
    assert pid != "0", "the sandbox does not run"
    return node.probe(
        "sandbox", pid=pid, socket=SANDBOX_SOCKET, plugins=PLUGINS_DIRECTORY, private=list(PRIVATE_PLACES)
    )


def test_the_sandbox_runs_with_the_server(sandbox_unit: dict[str, Any]) -> None:
    properties = sandbox_unit["properties"]
    assert (properties["ActiveState"], properties["SubState"]) == ("active", "running")
    assert "flexcore.service" in properties["PartOf"]
    assert "flexcore.service" in properties["WantedBy"]


def test_the_sandbox_has_a_user_of_its_own_and_no_privilege(
    sandbox_unit: dict[str, Any], sandbox: dict[str, Any]
) -> None:
    process = sandbox_unit["process"]
    assert process["Uid"] != "0"
    capabilities = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {name: process[name] for name in capabilities if int(process[name], 16)} == {}
    assert process["NoNewPrivs"] == "1"
    assert process["Seccomp"] == "2", "no system call filter"
    assert sandbox["groups"] == ["flexcore-sandbox"]
    assert sandbox["shell"].endswith(("nologin", "false"))


def test_the_sandbox_is_confined_itself(sandbox_unit: dict[str, Any]) -> None:
    assert sandbox_unit["exposure"] is not None, "systemd-analyze gave no exposure level"
    assert sandbox_unit["exposure"] <= MAXIMUM_EXPOSURE


def test_the_sandbox_has_no_network_and_no_credential(sandbox: dict[str, Any]) -> None:
    assert sandbox["own_network"]
    assert not [line for line in sandbox["environment"] if line.startswith("CREDENTIALS_DIRECTORY")]


def test_only_the_server_reaches_the_sandbox(sandbox: dict[str, Any]) -> None:
    assert sandbox["socket"] is not None
    assert sandbox["socket_directory"] == "flexcore-sandbox flexcore 0o750"


def test_what_runs_plugins_can_read_their_code_and_write_none(sandbox: dict[str, Any]) -> None:
    assert sandbox["plugins"] == "flexcore flexcore 0o755"
    assert sandbox["writable"] == []
    assert sandbox["unreadable"] == []


def test_what_runs_plugins_reads_nothing_of_the_servers(sandbox: dict[str, Any]) -> None:
    assert sandbox["readable"] == []


def test_the_host_enforces_what_the_inventory_asks_for(node: Node, http: dict[str, Any]) -> None:
    status = http["known"][NODE]["body"]["sandbox"]
    assert status["mode"] == node.variables["flexcore_sandbox_mode"]
    assert status["problem"] is None
    assert status["measures"]
    missing = {measure["name"]: measure["detail"] for measure in status["measures"] if not measure["enforced"]}
    assert status["mode"] == "enforced" or missing == {}
