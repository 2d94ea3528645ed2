"""The data services answer FlexCore on this host, and nobody who is not FlexCore."""

from typing import Any

import pytest

from tests.infra.contract import REFUSED_REDIS_COMMANDS

REFUSALS = ("wrong password", "other user", "other database", "superuser")


def test_postgresql_answers_the_runtime_role(postgresql: dict[str, Any]) -> None:
    assert postgresql["runtime"] == {"user": postgresql["runtime"].get("user"), "answered": True}


@pytest.mark.parametrize("login", REFUSALS)
def test_postgresql_refuses(postgresql: dict[str, Any], login: str) -> None:
    refusal = postgresql[login].get("refused", "it was let in")
    assert "no pg_hba.conf entry for host" in refusal or "password authentication failed" in refusal, refusal


def test_redis_answers_its_acl_user(redis: dict[str, Any]) -> None:
    session = redis["flexcore"]
    assert session["login"] == "OK"
    assert session["PING"] == "PONG"
    assert session["ACL WHOAMI"] == "flexcore"
    assert session["GET flexcore:verify"] is None


@pytest.mark.parametrize("command", [" ".join(command) for command in REFUSED_REDIS_COMMANDS])
def test_redis_refuses_its_acl_user_what_is_not_flexcores(redis: dict[str, Any], command: str) -> None:
    assert redis["flexcore"][command] == "NOPERM"


@pytest.mark.parametrize("stranger", ["no credentials", "default user", "wrong password"])
def test_redis_refuses_strangers(redis: dict[str, Any], stranger: str) -> None:
    assert redis[stranger]["login"] == (None if stranger == "no credentials" else "WRONGPASS")
    assert redis[stranger]["PING"] == "NOAUTH"
