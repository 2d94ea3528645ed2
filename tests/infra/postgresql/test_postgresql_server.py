"""The PostgreSQL server keeps data safe, and lets in whom the inventory names."""

import ipaddress
from typing import Any

import pytest
from testinfra.host import Host

from tests.infra.contract import PRIVILEGED_FUNCTIONS, RECORDED, SESSIONS_OF_A_NODE, WORKED_ON
from tests.infra.node import Node

pytestmark = pytest.mark.unit("postgresql@*")


def network(address: str, netmask: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network of a rule, whose mask PostgreSQL writes out in either family."""
    return ipaddress.ip_network(f"{address}/{int(ipaddress.ip_address(netmask)).bit_count()}")


def test_starts_with_the_host(host: Host) -> None:
    assert host.service("postgresql").is_enabled


def test_listens_on_the_inventorys_addresses_only(node: Node, host: Host) -> None:
    port = node.variables["postgresql_port"]
    expected = {f"tcp://{address}:{port}" for address in node.variables["postgresql_listen_addresses"]}
    sockets = host.socket.get_listening_sockets()
    assert {name for name in sockets if name.startswith("tcp://") and name.endswith(f":{port}")} == expected


@pytest.mark.parametrize("setting", ["data_checksums", "fsync", "full_page_writes"])
def test_data_is_protected(server: dict[str, Any], setting: str) -> None:
    assert server["settings"][setting] == "on"


def test_no_page_failed_its_checksum(server: dict[str, Any]) -> None:
    assert not {name for name, database in server["databases"].items() if database["checksum_failures"]}


def test_runs_with_what_its_files_say(server: dict[str, Any]) -> None:
    assert not server["file_errors"]
    assert not server["restart_pending"], "changed in the files, but in force only after a restart"


def test_passwords_are_stored_as_scram_verifiers(server: dict[str, Any]) -> None:
    assert server["settings"]["password_encryption"] == "scram-sha-256"
    assert not [name for name, role in server["roles"].items() if role["password"] == "weak"]


def test_no_rule_trusts_or_takes_a_weak_password(server: dict[str, Any]) -> None:
    assert server["access"]
    assert not [rule for rule in server["access"] if rule["error"]]
    weak = [rule for rule in server["access"] if rule["method"] not in {"scram-sha-256", "peer", "cert", "reject"}]
    assert not weak


def test_over_tcp_only_the_inventorys_access_is_allowed(node: Node, server: dict[str, Any]) -> None:
    expected = {
        (database, role, ipaddress.ip_network(address))
        for access in node.variables["postgresql_access"]
        for database in access["databases"]
        for role in access["roles"]
        for address in access["addresses"]
    }
    found = {
        (database, role, network(rule["address"], rule["netmask"]))
        for rule in server["access"]
        if rule["type"] != "local"
        for database in rule["databases"]
        for role in rule["roles"]
    }
    assert found == expected


def test_roles_have_no_privilege_beyond_their_login(node: Node, server: dict[str, Any]) -> None:
    powers = ("superuser", "bypasses_row_security", "creates_roles", "creates_databases", "replicates")
    for name in (role["name"] for role in node.variables["postgresql_roles"]):
        assert name in server["roles"], f"role {name} does not exist"
        assert server["roles"][name]["login"], f"role {name} cannot log in"
        assert not [power for power in powers if server["roles"][name][power]], f"role {name}"
    # `postgres` reaches the server over the local socket only, and needs no password there.
    assert [name for name, role in server["roles"].items() if role["superuser"]] == ["postgres"]
    assert server["roles"]["postgres"]["password"] == "none"


def test_databases_belong_to_their_owners(node: Node, server: dict[str, Any]) -> None:
    expected = {database["name"]: database["owner"] for database in node.variables["postgresql_databases"]}
    assert {name: server["databases"].get(name, {}).get("owner") for name in expected} == expected


def test_the_server_may_append_events_and_never_change_them(server: dict[str, Any]) -> None:
    rights = server["rights"]["tables"]
    assert {table: set(rights.get(table, ())) for table in RECORDED} == RECORDED


def test_the_server_may_do_its_work_in_the_other_tables_and_no_more(server: dict[str, Any]) -> None:
    rights = {table: set(found) for table, found in server["rights"]["tables"].items() if table not in RECORDED}
    assert {table: found for table, found in rights.items() if found != WORKED_ON.get(table, set())} == {}
    assert rights.keys() >= WORKED_ON.keys()


def test_the_server_has_no_other_way_to_an_owners_rights(server: dict[str, Any]) -> None:
    rights = server["rights"]
    assert (rights["owned"], rights["creates_in"], rights["creates_schemas"], rights["member_of"]) == (0, [], False, [])
    assert set(rights["privileged_functions"]) == PRIVILEGED_FUNCTIONS


def test_events_are_guarded_against_their_owner_too(server: dict[str, Any]) -> None:
    assert server["rights"]["guards"] == {"events_are_append_only": "O"}


def test_there_is_room_for_every_flexcore_nodes_sessions(server: dict[str, Any], run) -> None:
    settings = server["settings"]
    room = int(settings["max_connections"]) - int(settings["superuser_reserved_connections"])
    assert room >= SESSIONS_OF_A_NODE * len(run.group("flexcore")), "raise postgresql_max_connections"


def test_every_flexcore_node_has_a_session(node: Node, server: dict[str, Any], run) -> None:
    expected = {
        (f"flexcore:{core.variables['flexcore_node_id']}", core.variables["flexcore_postgresql_user"])
        for core in run.group("flexcore")
        if core.name not in run.unreachable
    }
    present = {(session["application"], session["user"]) for session in server["sessions"]}
    assert expected <= present
