"""The ssh configuration that the verification suite writes, judged by what ssh itself makes of it."""

import subprocess

import pytest

from tests.infra.connection import Connections, host_block
from tests.infra.inventory import HostVariables, InventoryError, Secret
from tests.infra.node import PROBES, Node, ProbeError


def variables(**values: object) -> HostVariables:
    from ansible.parsing.dataloader import DataLoader

    return HostVariables("core1", values, DataLoader())


def effective(connections: Connections, host: str) -> dict[str, str]:
    printed = subprocess.run(
        ["ssh", "-F", str(connections.config), "-G", host], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split(" ", 1) for line in printed.splitlines() if " " in line)


def test_connection_variables_reach_ssh() -> None:
    connections = Connections(
        {
            "core1": variables(
                ansible_host="10.77.0.11",
                ansible_port=2222,
                ansible_user="deploy",
                ansible_ssh_private_key_file="/keys/a key",
                ansible_ssh_common_args="-o UserKnownHostsFile=/keys/known_hosts -J gate.example.org",
            )
        }
    )
    try:
        ssh = effective(connections, "core1")
    finally:
        connections.close()
    assert ssh["hostname"] == "10.77.0.11"
    assert ssh["port"] == "2222"
    assert ssh["user"] == "deploy"
    assert ssh["identityfile"] == "/keys/a key"
    assert ssh["userknownhostsfile"] == "/keys/known_hosts"
    assert ssh["proxyjump"] == "gate.example.org"


def test_connections_are_shared_and_host_keys_are_checked_whatever_the_inventory_says() -> None:
    connections = Connections({"core1": variables(ansible_ssh_extra_args="-o StrictHostKeyChecking=no")})
    try:
        ssh = effective(connections, "core1")
        path = ssh["controlpath"]
    finally:
        connections.close()
    assert ssh["stricthostkeychecking"] == "true"
    assert ssh["controlmaster"] == "auto"
    # A socket's path ends at 107 bytes, and ssh adds 17 while it opens one.
    assert len(path) <= 90


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ansible_password", "x", "by key"),
        ("ansible_become_password", "x", "passwordless sudo"),
        ("ansible_connection", "winrm", "only ssh"),
        ("ansible_ssh_common_args", "-F other", "allowed are"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(name: str, value: str, said: str) -> None:
    with pytest.raises(InventoryError, match=f"core1: {name}.*{said}"):
        host_block("core1", variables(**{name: value}))


def test_a_failed_probe_reports_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "loud.py").write_text("def collect(password):\n    raise RuntimeError('cannot use ' + password)\n")
    monkeypatch.setattr("tests.infra.node.PROBES", tmp_path)
    connections = Connections({"core1": variables()})
    monkeypatch.setattr(connections, "command", lambda host, remote: ["python3", "-I", "-"])
    try:
        node = Node("core1", variables(), connections)
        with pytest.raises(ProbeError) as failure:
            node.probe("loud", password=Secret("db_password", "s3cret-value"))
    finally:
        connections.close()
    assert str(failure.value) == "core1: the probe loud failed: exit status 1: RuntimeError: cannot use ***"


def test_every_probe_is_one_read_only_program() -> None:
    for probe in PROBES.glob("*.py"):
        assert "def collect(" in probe.read_text(), f"{probe.name} has no collect()"
