"""The flext command as a user meets it: output, exit codes, and errors in one line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flexcore_client.connection import ENVIRONMENT

from flext_cli import main as command
from tests.doubles import dialects, socket_double
from tests.doubles.http_double import Reply, serving
from tests.doubles.socket_double import behaving

CANARY = "canary-token-4711-canary-token"
Flext = Callable[..., tuple[int, str, str]]


@pytest.fixture
def flext(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Flext:
    """Return a function that runs the command and gives exit code, output and errors."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))  # whoever runs this may be logged in somewhere
    for name in (*ENVIRONMENT.values(), "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["flext", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        said = capsys.readouterr()
        assert CANARY not in said.out + said.err
        return int(ended.value.code or 0), said.out, said.err

    return run


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port: int = closed.getsockname()[1]
        return port


def test_a_table_of_healthy_services(flext: Flext) -> None:
    with serving(dialects.flexcore_v1()) as flexcore, behaving(socket_double.saying(b"+PONG\r\n")) as redis:
        code, out, err = flext("service", "health", "--target", f"api={flexcore.url}", "--target", redis.url("redis"))
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["SERVICE", "STATUS"],
        ["api", "HEALTHY"],
        ["redis", "HEALTHY"],
    ]


def test_one_that_is_not_healthy_is_exit_code_2(flext: Flext) -> None:
    code, out, _ = flext("service", "health", "--target", f"http://127.0.0.1:{closed_port()}", "--format", "json")
    document = json.loads(out)
    assert (code, document["healthy"]) == (2, False)
    assert document["targets"][0]["details"]["cause"] == "connection refused"


def test_without_a_target_it_asks_the_flexcore_of_the_environment(
    flext: Flext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(dialects.flexcore_v1()) as flexcore:
        monkeypatch.setenv("FLEXCORE_URL", flexcore.url)
        code, out, _ = flext("service", "health")
    assert code == 0
    assert flexcore.url in out


def test_targets_from_a_file_with_a_token_beside_it(flext: Flext, tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    (tmp_path / "token").write_text(f"{CANARY}\n")
    with serving(dialects.flexcore_v1()) as flexcore:
        file.write_text(f"timeout: 2\ntoken_file: token\ntargets:\n  - name: api\n    url: {flexcore.url}\n")
        code, out, _ = flext("service", "health", "--targets", file)
        assert flexcore.seen[0].headers["authorization"] == f"Bearer {CANARY}"
    assert code == 0
    assert "api" in out


@pytest.mark.parametrize(
    "arguments", [("service", "health"), ("service", "logs"), ("plugin", "list"), ("plugin", "info", "json-processor")]
)
@pytest.mark.parametrize("variable", ["FLEXCORE_TOKEN", "FLEXCORE_TOKEN_FILE"])
def test_every_command_takes_its_token_from_the_environment(
    flext: Flext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, arguments: tuple[str, ...]
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{CANARY}\n")
    monkeypatch.setenv(variable, CANARY if variable == "FLEXCORE_TOKEN" else str(file))
    with serving(dialects.flexcore_v1()) as flexcore:
        monkeypatch.setenv("FLEXCORE_URL", flexcore.url)
        flext(*arguments)
    assert {request.headers.get("authorization") for request in flexcore.seen} == {f"Bearer {CANARY}"}


def test_a_user_of_the_environment_logs_in(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    session = {"access_token": CANARY, "token_type": "bearer", "expires_in": 3600}
    with serving({**dialects.flexcore_v1(), "POST /auth/login": Reply(session)}) as flexcore:
        for name, value in (("URL", flexcore.url), ("USERNAME", "ada"), ("PASSWORD", CANARY)):
            monkeypatch.setenv(f"FLEXCORE_{name}", value)
        assert flext("plugin", "list")[0] == 0
    login, *others = flexcore.seen
    assert login.json == {"username": "ada", "password": CANARY}
    assert {request.headers["authorization"] for request in others} == {f"Bearer {CANARY}"}


def test_the_token_of_a_targets_file_keeps_that_of_the_environment_out(
    flext: Flext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEXCORE_TOKEN", "another-token")
    (tmp_path / "token").write_text(CANARY)
    file = tmp_path / "targets.yaml"
    with serving(dialects.flexcore_v1()) as flexcore:
        file.write_text(f"token_file: token\ntargets: [{{url: '{flexcore.url}'}}]\n")
        flext("plugin", "list", "--targets", file)
    assert {request.headers["authorization"] for request in flexcore.seen} == {f"Bearer {CANARY}"}


def test_half_a_login_in_the_environment_is_said(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXCORE_USERNAME", "ada")
    assert flext("plugin", "list") == (1, "", "flext: username and password belong together: give both or none\n")


def test_a_relative_token_file_is_a_credential_of_the_unit(
    flext: Flext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "api_token").write_text(CANARY)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    file = tmp_path / "targets.yaml"
    with serving(dialects.flexcore_v1()) as flexcore:
        file.write_text(f"token_file: api_token\ntargets: [{{url: '{flexcore.url}'}}]\n")
        flext("service", "health", "--targets", file)
        assert flexcore.seen[0].headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "is not YAML"),
        ("- a", "has to be a mapping"),
        ("{}", "targets has to be a list"),
        ("targets: []", "nothing to check"),
        ("targets: [{url: ftp://a}]", "target 1: "),
        ("targets: [{url: http://a}]\ntimeouts: 3", "the key 'timeouts' is not known, allowed are targets, timeout"),
        ("targets: [{url: http://a}]\ntimeout: soon", "timeout is 'soon'"),
        ("targets: [{url: http://a}]\ntimeout: true", "timeout is True"),
        ("targets: [{url: http://a}]\napi: v9", "api is 'v9'"),
        ("targets: [{url: http://a}]\ntoken_file: absent", "cannot be read: No such file"),
        ("targets: [{url: http://a}]\ntoken_file: targets.yaml", "does not hold one token"),
        ("targets: [{url: http://a}]\ntoken_file: [x]", "token_file has to be the path"),
    ],
)
def test_a_wrong_targets_file(flext: Flext, tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text(content)
    code, out, err = flext("service", "health", "--targets", file)
    assert (code, out) == (1, "")
    assert err.startswith(f"flext: {file}: ")
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("service", "health", "--format", "xml"),
        ("service", "health", "--target", "core1:8080"),
        ("service", "health", "--targets", "/nowhere.yaml"),
        ("service", "health", "--timeout", "0"),
        ("service", "logs", "--since", "yesterday"),
    ],
)
def test_a_wrong_call_is_exit_code_1(flext: Flext, arguments: tuple[str, ...]) -> None:
    code, out, err = flext(*arguments)
    assert (code, out) == (1, "")
    assert err


def test_target_and_targets_exclude_each_other(flext: Flext, tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text("targets: [{url: http://a}]")
    code, _, err = flext("service", "health", "--targets", file, "--target", "http://b")
    assert (code, err) == (1, "flext: Give either --target or --targets, not both\n")


def test_plugins(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(dialects.flexcore_v1()) as flexcore:
        monkeypatch.setenv("FLEXCORE_URL", flexcore.url)
        _, table, _ = flext("plugin", "list")
        _, document, _ = flext("plugin", "list", "--format", "json")
        found = flext("plugin", "info", "plugin-007")
        missing = flext("plugin", "info", "nope")
    assert table.splitlines()[1].split()[:4] == ["plugin-000", "1.0.0", "processor", "active"]
    assert len(json.loads(document)["plugins"]) == 120
    assert found[0] == 0
    assert ["execution_count", "12"] in [line.split() for line in found[1].splitlines()]
    assert (missing[0], missing[1]) == (2, "")
    assert "there is no plugin 'nope'" in missing[2]


def test_logs(flext: Flext, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(dialects.flexcore_v1()) as flexcore:
        monkeypatch.setenv("FLEXCORE_URL", flexcore.url)
        code, out, err = flext("service", "logs", "--lines", "2")
        unknown = flext("service", "logs", "another")
    assert (code, err) == (0, "")
    assert [line.split()[2:5] for line in out.splitlines()] == [["core1", "postgres", "record"]] * 2
    assert unknown[0] == 1
    assert "no FlexCore target called another: known are flexcore" in unknown[2]


def test_a_server_that_gives_no_answer_is_one_line_and_exit_code_2(
    flext: Flext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXCORE_URL", f"http://127.0.0.1:{closed_port()}")
    code, out, err = flext("plugin", "list")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "connection refused" in err


def test_help_and_version_import_little() -> None:
    """The scheduled check runs every 15 s, so what it does not need stays unloaded."""
    code = (
        "import sys\nfrom flext_cli import main\nfrom flext_cli.health import check_health\n"
        "check_health(('http://127.0.0.1:1',), None, 'json', 1.0, None)\n"
        "loaded = {'rich', 'pygments', 'flexcore', 'ansible', 'multipart'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
