"""The verification suite reads inventories as Ansible does."""

from pathlib import Path

import pytest

from tests.infra.inventory import Inventory, InventoryError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(
        "postgresql:\n  hosts:\n    data1: {ansible_host: '{{ subnet }}.11'}\n"
        "flexcore:\n  hosts:\n    core1: {ansible_host: '{{ subnet }}.12'}\n"
    )
    variables = tmp_path / "group_vars" / "all"
    variables.mkdir(parents=True)
    (variables / "main.yml").write_text(
        "subnet: \"{{ lookup('ansible.builtin.env', 'VERIFY_SUBNET') }}\"\n"
        "database: \"{{ hostvars[groups['postgresql'][0]].ansible_host }}\"\n"
        f"password: \"{{{{ lookup('ansible.builtin.password', '{tmp_path}/secret length=20') }}}}\"\n"
        'broken: "{{ nowhere.to_be_found }}"\n'
    )
    return tmp_path


def test_lookups_and_other_hosts_variables_are_templated(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFY_SUBNET", "10.9.8")
    variables = Inventory(source).variables("core1")
    assert variables["ansible_host"] == "10.9.8.12"
    assert variables["database"] == "10.9.8.11"


def test_hosts_by_group(source: Path) -> None:
    inventory = Inventory(source)
    assert inventory.hosts("flexcore") == ("core1",)
    assert inventory.hosts("redis") == ()
    assert set(inventory.hosts()) == {"data1", "core1"}


def test_a_secret_nobody_reads_is_not_evaluated(source: Path) -> None:
    variables = Inventory(source).variables("core1")
    assert "password" in variables
    assert not (source / "secret").exists()
    secret = variables.secret("password")
    assert secret.reveal() == (source / "secret").read_text().strip()
    assert secret.reveal() not in repr(secret)


@pytest.mark.parametrize("name", ["broken", "unknown"])
def test_an_unusable_variable_is_named_with_its_host(source: Path, name: str) -> None:
    variables = Inventory(source).variables("core1")
    with pytest.raises(InventoryError, match=f"core1: variable {name} "):
        variables[name]


def test_a_missing_inventory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="nowhere: no such file"):
        Inventory(tmp_path / "nowhere")


def test_an_inventory_without_hosts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("flexcore:\n  hosts: {}\n")
    with pytest.raises(InventoryError, match="holds no host"):
        Inventory(tmp_path)


def test_an_empty_secret_is_refused(source: Path) -> None:
    (source / "group_vars" / "all" / "more.yml").write_text('token: ""\n')
    with pytest.raises(InventoryError, match="core1: variable token is empty"):
        Inventory(source).variables("core1").secret("token")
