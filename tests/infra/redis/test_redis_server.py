"""The Redis server keeps data safe, and lets in whom the inventory names."""

import re
from typing import Any

import pytest
from testinfra.host import Host

from tests.infra.node import Node

pytestmark = pytest.mark.unit("redis-server")

SETTINGS = ("appendonly", "maxmemory", "maxmemory-policy", "protected-mode")
# What no application may do. The server only says whether it would let a user do it (ACL DRYRUN).
FORBIDDEN = (
    ("FLUSHALL",),
    ("CONFIG", "SET", "appendonly", "no"),
    ("ACL", "SETUSER", "default", "on"),
    ("REPLICAOF", "NO", "ONE"),
    ("SHUTDOWN",),
    ("DEBUG", "SLEEP", "0"),
    ("KEYS", "*"),
    ("SET", "a-key-of-nobody", "x"),
)


@pytest.fixture
def server(node: Node) -> dict[str, Any]:
    """The server's replies to its administrator."""
    variables = node.variables
    users = [user["name"] for user in variables["redis_users"]]
    session = node.probe(
        "redis_replies",
        host=variables["ansible_host"],
        port=variables["redis_port"],
        sessions={
            "admin": {
                "credentials": ["admin", variables.secret("redis_admin_password")],
                "commands": [
                    ["CONFIG", "GET", *SETTINGS],
                    ["ACL", "LIST"],
                    ["CLIENT", "LIST"],
                    ["INFO", "persistence"],
                    *(["ACL", "DRYRUN", user, *command] for user in users for command in FORBIDDEN),
                ],
            }
        },
    )["admin"]
    if session["login"] != "OK":
        pytest.fail(f"{node.name}: Redis does not let its administrator in: {session['login']}", pytrace=False)
    config, access, clients, info, *_ = session["replies"].values()
    return {
        "settings": dict(zip(config[::2], config[1::2], strict=True)),
        # Digests of passwords are nobody's business, least of all a failure report's.
        "users": {rule.split()[1]: re.sub(r"#[0-9a-f]{64}", "#", rule).split()[2:] for rule in access},
        "clients": [dict(field.split("=", 1) for field in line.split()) for line in clients.splitlines()],
        "allowed": [
            command
            for command, reply in session["replies"].items()
            if "DRYRUN" in command and "no permissions" not in str(reply)
        ],
        "persistence": dict(line.split(":", 1) for line in info.splitlines() if ":" in line),
    }


def test_starts_with_the_host(host: Host) -> None:
    assert host.service("redis-server").is_enabled


def test_listens_on_the_inventorys_addresses_only(node: Node, host: Host) -> None:
    port = node.variables["redis_port"]
    expected = {f"tcp://{address}:{port}" for address in node.variables["redis_bind_addresses"]}
    sockets = host.socket.get_listening_sockets()
    assert {name for name in sockets if name.startswith("tcp://") and name.endswith(f":{port}")} == expected


def test_every_write_is_kept(server: dict[str, Any]) -> None:
    assert server["settings"]["appendonly"] == "yes"
    assert server["persistence"]["aof_enabled"] == "1"
    assert server["persistence"]["aof_last_write_status"] == "ok"


def test_a_full_memory_refuses_writes_and_evicts_nothing(server: dict[str, Any]) -> None:
    assert server["settings"]["maxmemory-policy"] == "noeviction"
    assert int(server["settings"]["maxmemory"]) > 0


def test_nobody_gets_in_without_a_password(server: dict[str, Any]) -> None:
    assert server["settings"]["protected-mode"] == "yes"
    assert server["users"]["default"][0] == "off"
    assert not [name for name, rules in server["users"].items() if "nopass" in rules and rules[0] == "on"]


def test_users_are_the_inventorys(node: Node, server: dict[str, Any]) -> None:
    expected = {user["name"]: user for user in node.variables["redis_users"]}
    assert server["users"].keys() == {"default", "admin", *expected}
    for name, user in expected.items():
        rules = server["users"][name]
        assert rules[0] == "on", name
        assert {rule for rule in rules if rule[0] in "~%"} == {f"~{pattern}" for pattern in user["keys"]}, name
        assert {rule for rule in rules if rule[0] == "&"} == {f"&{pattern}" for pattern in user["channels"]}, name


def test_applications_may_do_nothing_dangerous(server: dict[str, Any]) -> None:
    assert server["allowed"] == []


def test_every_flexcore_node_is_a_client(server: dict[str, Any], run) -> None:
    expected = {
        (f"flexcore:{core.variables['flexcore_node_id']}", core.variables["flexcore_redis_user"])
        for core in run.group("flexcore")
        if core.name not in run.unreachable
    }
    assert expected <= {(client["name"], client["user"]) for client in server["clients"]}


def test_the_kernel_is_set_as_redis_asks(host: Host) -> None:
    assert host.sysctl("vm.overcommit_memory") == 1
