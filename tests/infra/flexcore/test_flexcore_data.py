"""The data services answer FlexCore on this host, and nobody who is not FlexCore."""

from typing import Any

import pytest

REFUSALS = ("wrong password", "other user", "other database", "superuser")


def error(reply: Any) -> str:
    """The error that Redis replied. What it gave instead of one may be confidential, and stays out of the report."""
    return reply["error"] if isinstance(reply, dict) else "none: it was answered"


def test_postgresql_answers_the_runtime_role(postgresql: dict[str, Any]) -> None:
    assert postgresql["runtime"] == {"user": postgresql["runtime"].get("user"), "answered": True}


@pytest.mark.parametrize("login", REFUSALS)
def test_postgresql_refuses(postgresql: dict[str, Any], login: str) -> None:
    # The server's own words: a login that fails because nobody answers proves nothing.
    refusal = postgresql[login].get("refused", "it was let in")
    assert "no pg_hba.conf entry for host" in refusal or "password authentication failed" in refusal, refusal


def test_redis_answers_its_acl_user(redis: dict[str, Any]) -> None:
    session = redis["flexcore"]
    assert session["login"] == "OK"
    assert session["replies"]["PING"] == "PONG"
    assert session["replies"]["ACL WHOAMI"] == "flexcore"
    assert session["replies"]["GET flexcore:verify"] is None


@pytest.mark.parametrize(
    "command", ["GET verify", "CONFIG GET maxmemory", "ACL LIST", "KEYS flexcore:verify", "CLIENT LIST"]
)
def test_redis_refuses_its_acl_user_what_is_not_flexcores(redis: dict[str, Any], command: str) -> None:
    assert error(redis["flexcore"]["replies"][command]).startswith("NOPERM")


def test_redis_refuses_strangers(redis: dict[str, Any]) -> None:
    for stranger in ("default user", "wrong password"):
        assert error(redis[stranger]["login"]).startswith("WRONGPASS"), stranger
    for stranger in ("no credentials", "default user", "wrong password"):
        assert error(redis[stranger]["replies"]["PING"]).startswith("NOAUTH"), stranger
