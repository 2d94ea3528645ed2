"""`flext login`: a session that later commands use, and nobody else can read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flexcore_client.address import Address
from flexcore_client.connection import ENVIRONMENT

from flext_cli import main as command
from tests.doubles import dialects
from tests.doubles.http_double import Reply, Routes, serving

PASSWORD, TOKEN = "canary-password-4711", "canary-token-4711"
Flext = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*ENVIRONMENT.values(), "CREDENTIALS_DIRECTORY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLEXCORE_PASSWORD", PASSWORD)
    return tmp_path


@pytest.fixture
def flext(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flext:
    """Return a function that runs the command as a user with a home and gives exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["flext", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        said = capsys.readouterr()
        assert PASSWORD not in said.out + said.err
        assert TOKEN not in said.out + said.err
        return int(ended.value.code or 0), said.out, said.err

    return run


def server(seconds: float = 3600, logout: int = 204) -> Routes:
    granted = {"access_token": TOKEN, "token_type": "bearer", "expires_in": seconds}
    return {
        **dialects.flexcore_v1(),
        "POST /auth/login": Reply(granted),
        "POST /auth/logout": Reply(b"", logout),
    }


def files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


def test_later_commands_come_with_the_session(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(server()) as flexcore:
        logged_in = flext("login", flexcore.url, "--username", "ada")
        assert logged_in == (0, f"ada is logged in at {flexcore.url} for 60 minutes\n", "")
        assert flexcore.seen[0].json == {"username": "ada", "password": PASSWORD}
        # What is left of the password in the environment would be half a login.
        monkeypatch.delenv("FLEXCORE_PASSWORD")
        monkeypatch.setenv("FLEXCORE_URL", flexcore.url)
        assert flext("plugin", "list")[0] == 0
        assert flext("service", "health")[0] == 0
    assert {seen.headers.get("authorization") for seen in flexcore.seen[1:]} == {f"Bearer {TOKEN}"}


def test_only_its_owner_can_read_the_session_and_the_password_is_not_in_it(flext: Flext, home: Path) -> None:
    with serving(server()) as flexcore:
        flext("login", flexcore.url, "--username", "ada")
        flext("login", flexcore.url, "--username", "ada")
    (file,) = files(home)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert set(json.loads(file.read_text())) == {flexcore.url}
    assert PASSWORD not in file.read_text()


def test_a_session_is_for_its_server_alone(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(server()) as one, serving(server()) as other:
        flext("login", one.url, "--username", "ada")
        monkeypatch.delenv("FLEXCORE_PASSWORD")
        flext("service", "health", "--target", other.url)
    assert {seen.headers.get("authorization") for seen in other.seen} == {None}


def test_a_token_of_the_environment_goes_before_the_session(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(server()) as flexcore:
        flext("login", flexcore.url, "--username", "ada")
        monkeypatch.setenv("FLEXCORE_TOKEN", "of-the-environment")
        monkeypatch.delenv("FLEXCORE_PASSWORD")
        flext("service", "health", "--target", flexcore.url)
    assert {seen.headers.get("authorization") for seen in flexcore.seen[1:]} == {"Bearer of-the-environment"}


def test_an_expired_session_is_none(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(server(seconds=0)) as flexcore:
        flext("login", flexcore.url, "--username", "ada")
        monkeypatch.delenv("FLEXCORE_PASSWORD")
        flext("service", "health", "--target", flexcore.url)
        assert flext("logout", flexcore.url) == (0, f"nobody is logged in at {flexcore.url}\n", "")
    assert {seen.headers.get("authorization") for seen in flexcore.seen[1:]} == {None}


def test_logging_out_ends_the_session_there_and_here(flext: Flext, home: Path) -> None:
    with serving(server()) as flexcore:
        flext("login", flexcore.url, "--username", "ada")
        assert flext("logout", flexcore.url) == (0, f"logged out at {flexcore.url}\n", "")
    assert flexcore.writes[-1] == "POST /auth/logout"
    assert flexcore.seen[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in files(home)[0].read_text()


def test_a_session_that_could_not_be_ended_is_said_and_forgotten_here(flext: Flext, home: Path) -> None:
    with serving(server(logout=500)) as flexcore:
        flext("login", flexcore.url, "--username", "ada")
        code, out, err = flext("logout", flexcore.url)
    assert (code, out) == (2, "")
    assert err == (
        f"flext: Logging out at {flexcore.url}: answered 500, so the session may still be good. "
        "Change the password, which ends all sessions, or wait until it expires.\n"
    )
    assert TOKEN not in files(home)[0].read_text()


def test_a_password_that_leaves_this_machine_in_the_clear_is_warned_of(
    flext: Flext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Address, "is_this_machine", False)
    with serving(server()) as flexcore:
        code, _, err = flext("login", flexcore.url, "--username", "ada")
    assert (code, err) == (0, f"flext: the password travels unencrypted to {flexcore.url}: use https\n")


def test_a_wrong_password_keeps_nothing(flext: Flext, home: Path) -> None:
    with serving({**server(), "POST /auth/login": Reply({"title": "Unauthorized"}, 401)}) as flexcore:
        code, out, err = flext("login", flexcore.url, "--username", "ada")
    assert (code, out) == (2, "")
    assert err == f"flext: Logging in at {flexcore.url}: 401, the username or password is wrong. {command.LOG_IN}\n"
    assert files(home) == []


def test_whoever_is_not_logged_in_is_told_how(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({**server(), "/api/v1/flexcore/plugins": Reply({"title": "Unauthorized"}, 401)}) as flexcore:
        monkeypatch.setenv("FLEXCORE_URL", flexcore.url)
        monkeypatch.delenv("FLEXCORE_PASSWORD")
        code, _, err = flext("plugin", "list")
    assert code == 2
    assert err.endswith(f"401, the token is missing or not accepted. {command.LOG_IN}\n")


@pytest.mark.parametrize("content", ["", "[]", "nonsense", '{"URL": 1}', '{"URL": {"token": 1, "expires_at": 9e9}}'])
def test_a_file_that_holds_no_session_is_none(
    flext: Flext, home: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    with serving(server()) as flexcore:
        flext("login", flexcore.url, "--username", "ada")
        (file,) = files(home)
        file.write_text(content.replace("URL", flexcore.url))
        monkeypatch.delenv("FLEXCORE_PASSWORD")
        assert flext("service", "health", "--target", flexcore.url)[0] == 0
    assert {seen.headers.get("authorization") for seen in flexcore.seen[1:]} == {None}


def test_a_session_that_can_not_be_kept_is_one_line(flext: Flext, home: Path) -> None:
    (home / ".config").write_text("a file where a directory should be")
    with serving(server()) as flexcore:
        code, out, err = flext("login", flexcore.url, "--username", "ada")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "the session cannot be kept" in err
