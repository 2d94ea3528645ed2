"""What a FlexCore host says about its server, its data services and its secrets."""

from typing import Any

import pytest

from tests.infra.contract import CORRELATION_ID, OPEN_PATHS, TOKEN_PATHS, UNIT
from tests.infra.node import Node

# What FlexCore's user is allowed, and then what it is not; none of them would change anything.
FLEXCORE_REDIS_COMMANDS = [
    ["PING"],
    ["ACL", "WHOAMI"],
    ["GET", "flexcore:verify"],
    ["GET", "verify"],
    ["CONFIG", "GET", "maxmemory"],
    ["ACL", "LIST"],
    ["KEYS", "flexcore:verify"],
    ["CLIENT", "LIST"],
]


@pytest.fixture
def unit(node: Node) -> dict[str, Any]:
    """How systemd and the kernel run the server."""
    return node.probe("unit", unit=UNIT)


@pytest.fixture
def http(node: Node) -> dict[str, Any]:
    """What the server answers on its service address."""
    variables = node.variables
    return node.probe(
        "http_answers",
        url=f"http://{variables['ansible_host']}:{variables['flexcore_http_port']}",
        token=variables.secret("flexcore_api_token"),
        correlation_id=CORRELATION_ID,
        open_paths=OPEN_PATHS,
        token_paths=TOKEN_PATHS,
    )


@pytest.fixture
def postgresql(node: Node) -> dict[str, Any]:
    """What logins from this host get from PostgreSQL: the server's own one, and those that must be refused."""
    variables = node.variables
    database, user = variables["flexcore_postgresql_database"], variables["flexcore_postgresql_user"]
    return node.probe(
        "postgresql_access",
        python="/opt/flexcore/current/bin/python",
        host=variables["flexcore_postgresql_host"],
        port=variables["flexcore_postgresql_port"],
        password=variables.secret("flexcore_postgresql_password"),
        logins={
            "runtime": {"database": database, "user": user, "real": True},
            "wrong password": {"database": database, "user": user},
            "other user": {"database": database, "user": "nobody_else"},
            "other database": {"database": "postgres", "user": user, "real": True},
            "superuser": {"database": database, "user": "postgres"},
        },
    )


@pytest.fixture
def redis(node: Node) -> dict[str, Any]:
    """What Redis replies to clients on this host, with and without FlexCore's credentials."""
    variables = node.variables
    user, password = variables["flexcore_redis_user"], variables.secret("flexcore_redis_password")
    stranger = [["PING"]]
    return node.probe(
        "redis_replies",
        host=variables["flexcore_redis_host"],
        port=variables["flexcore_redis_port"],
        sessions={
            "no credentials": {"credentials": [], "commands": stranger},
            "default user": {"credentials": [password], "commands": stranger},
            "wrong password": {"credentials": [user, "not-the-password"], "commands": stranger},
            "flexcore": {"credentials": [user, password], "commands": FLEXCORE_REDIS_COMMANDS},
        },
    )
