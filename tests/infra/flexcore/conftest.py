"""What a FlexCore host says about its server, its data services and its secrets."""

from typing import Any

import pytest

from tests.infra.contract import (
    ALLOWED_REDIS_COMMANDS,
    CLUSTER,
    COMMAND,
    CORRELATION_ID,
    HEALTH_PATHS,
    OPEN_PATHS,
    REFUSED_REDIS_COMMANDS,
    STATE_DIRECTORY,
    TOKEN_PATHS,
    UNIT,
    VERIFIED_EVENTS,
)
from tests.infra.node import Node


@pytest.fixture
def unit(node: Node) -> dict[str, Any]:
    """How systemd and the kernel run the server."""
    return node.probe("unit", unit=UNIT)


@pytest.fixture
def http(node: Node) -> dict[str, Any]:
    """What the server answers on its service address."""
    return answers(node)


@pytest.fixture
def leaders(run) -> dict[str, str | None]:
    """Who leads according to each node that answers, by inventory name."""
    nodes = [node for node in run.group("flexcore") if node.name not in run.unreachable]
    return {node.name: answers(node)["known"][CLUSTER]["body"].get("leader") for node in nodes}


def answers(node: Node) -> dict[str, Any]:
    """What the server of one node answers."""
    variables = node.variables
    scheme = "https" if variables["flexcore_tls_certificate"] else "http"
    host = variables["flexcore_tls_name"]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - it listens on all addresses, so it is asked on the one others use
        host = variables["ansible_host"]
    closed = () if variables["flexcore_open_health"] else HEALTH_PATHS
    found = node.probe(
        "http_answers",
        url=f"{scheme}://{host}:{variables['flexcore_http_port']}",
        token=variables.secret("flexcore_api_token"),
        correlation_id=CORRELATION_ID,
        open_paths=[path for path in OPEN_PATHS if path not in closed],
        token_paths=(*TOKEN_PATHS, *closed),
    )
    # What these say is judged alike, whoever may ask.
    return found | {"open": found["open"] | {path: found["known"][path] for path in closed}}


@pytest.fixture
def event_log(node: Node) -> dict[str, Any]:
    """What the host keeps and knows of the event log."""
    variables = node.variables
    return node.probe(
        "event_log",
        python="/opt/flexcore/current/bin/python",
        access={
            "host": variables["flexcore_postgresql_host"],
            "port": variables["flexcore_postgresql_port"],
            "dbname": variables["flexcore_postgresql_database"],
            "user": variables["flexcore_postgresql_user"],
            "password": variables.secret("flexcore_postgresql_password"),
        },
        state_directory=STATE_DIRECTORY,
        command=COMMAND,
        newest_events=VERIFIED_EVENTS,
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
    """How Redis receives clients on this host: by session, the outcome of the login and of each command."""
    variables = node.variables
    user, password = variables["flexcore_redis_user"], variables.secret("flexcore_redis_password")
    stranger = [["PING"]]
    sessions = node.probe(
        "redis_replies",
        host=variables["flexcore_redis_host"],
        port=variables["flexcore_redis_port"],
        sessions={
            "no credentials": {"credentials": [], "commands": stranger},
            "default user": {"credentials": [password], "commands": stranger},
            "wrong password": {"credentials": [user, "not-the-password"], "commands": stranger},
            "flexcore": {"credentials": [user, password], "commands": ALLOWED_REDIS_COMMANDS + REFUSED_REDIS_COMMANDS},
        },
    )
    return {
        name: {"login": outcome(session["login"])}
        | {command: outcome(reply) for command, reply in session["replies"].items()}
        for name, session in sessions.items()
    }


def outcome(reply: Any) -> str | None:
    """A short reply itself, or the code of an error. What else Redis gave away stays out of the reports."""
    if isinstance(reply, dict):
        return reply["error"].split()[0]
    return reply if reply in (None, "OK", "PONG", "flexcore") else "answered"
