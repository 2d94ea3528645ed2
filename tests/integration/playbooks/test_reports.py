"""The playbooks health, plugins and logs against doubles, as an operator runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.doubles import dialects, socket_double
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import Reply, Routes, Seen, serving
from tests.doubles.socket_double import behaving
from tests.unit.modules.scenarios import DECLARED, package

ROOT = Path(__file__).resolve().parents[3]
CANARY = "canary-token-4711-canary-token"


class Operator:
    """Runs playbooks on an inventory with the host `here`, and others."""

    def __init__(self, directory: Path) -> None:
        self._inventory = directory / "hosts.yml"
        self._variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_host": "127.0.0.1",
            "ansible_python_interpreter": sys.executable,
            "flexcore_postgresql_host": "127.0.0.1",
            "flexcore_redis_host": "127.0.0.1",
            "flexcore_api_token": CANARY,
            # The playbook of the logs becomes root, which whoever runs these tests may not be able to.
            "ansible_become": False,
        }
        self.hosts: dict[str, dict[str, Any]] = {}

    def host(self, name: str, http: int, postgresql: int = 1, redis: int = 1, **more: Any) -> None:
        ports = {"flexcore_http_port": http, "flexcore_postgresql_port": postgresql, "flexcore_redis_port": redis}
        self.hosts[name] = {**self._variables, **ports, **more}

    def run(self, playbook: str, *variables: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        self._inventory.write_text(yaml.safe_dump({"flexcore": {"hosts": self.hosts}}))
        extra = [word for variable in variables for word in ("-e", variable)]
        program = Path(sys.executable).with_name("ansible-playbook")
        own = ("ANSIBLE_", "FLEXCORE_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        result = subprocess.run(
            [
                program,
                "-i",
                self._inventory,
                f"playbooks/{playbook}.yml",
                *extra,
                *(["--check", "--diff"] if check else []),
            ],
            cwd=ROOT,
            env={**environment, "ANSIBLE_STDOUT_CALLBACK": "report", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert CANARY not in result.stdout + result.stderr
        return result


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def guarded(routes: Routes) -> Routes:
    """Answer what is not health only to the right token."""

    def with_token(path: str) -> Any:
        def answer(seen: Seen) -> Reply:
            route = routes[path]
            if seen.headers.get("authorization") != f"Bearer {CANARY}":
                return Reply({"detail": "no token"}, 401)
            return route(seen) if callable(route) else route

        return answer

    return {path: route if path in ("/health", "/info") else with_token(path) for path, route in routes.items()}


def test_health_of_healthy_services(operator: Operator) -> None:
    postgres_says, redis_says = (
        socket_double.saying(b"S"),
        socket_double.saying(b"-NOAUTH Authentication required.\r\n"),
    )
    with (
        serving(dialects.flexcore_v1()) as flexcore,
        behaving(postgres_says) as postgres,
        behaving(redis_says) as redis,
    ):
        operator.host("here", flexcore.port, postgres.port, redis.port)
        result = operator.run("health")
    lines = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[:3] for line in lines[:4]] == [
        ["SERVICE", "STATUS", "VERSION"],
        ["flexcore", "HEALTHY", "0.1.0+abc"],
        ["postgresql", "HEALTHY", "15.14"],
        ["redis", "HEALTHY", "7.0.15"],
    ]
    assert lines[-1] == f"FlexCore: {flexcore.url}"


def test_health_names_the_culprit_and_shows_a_host_that_is_down(operator: Operator) -> None:
    down = dialects.flexcore_v1(postgresql=dialects.component("unhealthy", "connection refused"))
    with serving(down) as flexcore, behaving(socket_double.saying(b"+PONG\r\n")) as redis:
        operator.host("here", flexcore.port, redis=redis.port)
        operator.host("gone", 2, ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1)
        result = operator.run("health", "format=json")
    assert result.returncode == 2
    report = json.loads(result.stdout)
    assert {(row["service"], row["host"], row["status"]) for row in report["services"]} >= {
        ("flexcore", "here", "UNHEALTHY"),
        ("flexcore", "gone", "UNKNOWN"),
        ("postgresql", "here", "UNHEALTHY"),
        ("redis", "here", "HEALTHY"),
    }
    assert report["services"][1]["cause"] == "postgresql: connection refused"
    assert report["services"][1]["culprit"] == "postgresql"
    assert "look at postgresql first" in result.stderr


def test_plugins(operator: Operator) -> None:
    with serving(guarded(dialects.s0_client())) as flexcore:
        operator.host("here", flexcore.port)
        table = operator.run("plugins")
    assert (table.returncode, table.stderr) == (0, "")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["NODE", "PLUGIN", "VERSION", "TYPE", "STATUS", "DESCRIPTION"],
        ["here", "p1", "1.0", "-", "active", "-"],
    ]
    with serving(guarded(dialects.flexcore_v1())) as flexcore:
        operator.host("here", flexcore.port)
        report = json.loads(operator.run("plugins", "format=json", "plugin=plugin-007").stdout)
    assert [(plugin["host"], plugin["id"]) for plugin in report["plugins"]] == [("here", "plugin-007")]


def test_logs(operator: Operator) -> None:
    with serving(guarded(dialects.flexcore_v1())) as flexcore:
        for name in ("one", "two"):
            operator.host(name, flexcore.port)
        result = operator.run("logs", "lines=3", "level=info", "since=2026-01-01T00:00:00Z")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[2:] for line in result.stdout.splitlines()] == [
        ["two", "postgres", "record", "2", "attempt=2"],
        ["one", "postgres", "record", "3", "attempt=3"],
        ["two", "postgres", "record", "3", "attempt=3"],
    ]


def test_logs_in_one_file(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "all.log"
    with serving(guarded(dialects.flexcore_v1())) as flexcore:
        for name in ("one", "two"):
            operator.host(name, flexcore.port)
        result = operator.run("logs", "lines=4", f"file={file}", "pattern=record [12]$")
    assert (result.returncode, result.stderr) == (0, "")
    assert file.read_text() == result.stdout
    assert [line.split()[2:5] for line in result.stdout.splitlines()] == [
        [host, "postgres", "record"] for host in ("one", "two") * 2
    ]
    assert file.stat().st_mode & 0o777 == 0o600


def test_declared_plugins_are_planned_then_brought_about(operator: Operator, tmp_path: Path) -> None:
    declared = [
        {"id": "greeter", "version": ">=1,<1.3"},
        {"id": "simple-processor", "state": "disabled"},
        {"id": "sleeper", "state": "absent"},
        {"src": package(tmp_path, "1.5.0")},
    ]
    variables = json.dumps({"declared_plugins": declared[:3]})
    state = FlexCoreDouble()
    with serving(state) as flexcore:  # type: ignore[arg-type]  # it is asked with get() only
        operator.host("one", flexcore.port)
        operator.host("two", flexcore.port)
        plan = operator.run("plugins", variables, check=True)
        assert (plan.returncode, flexcore.writes) == (0, []), plan.stderr
        done = operator.run("plugins", variables)
        packaged = json.dumps({"declared_plugins": declared[3:]})
        upgrade = operator.run("plugins", packaged, check=True)
        assert len(flexcore.writes) == 4, "three changes and the question whether the new plugin is well"
        upgraded = operator.run("plugins", packaged, "format=json")
        settled = json.loads(operator.run("plugins", packaged, "format=json").stdout)
    changes = ["install greeter 1.2.0", "disable simple-processor 1.0.0", "remove sleeper 1.0.0"]
    assert [line for line in plan.stdout.splitlines() if "would" in line] == [f"would {change}" for change in changes]
    assert [line for line in done.stdout.splitlines() if "done" in line] == [f"done: {change}" for change in changes]
    assert "would upgrade greeter 1.5.0" in upgrade.stdout
    report = json.loads(upgraded.stdout)
    assert report["changes"] == ["upgrade greeter 1.5.0"]
    assert [(one["id"], one["version"]) for one in report["plugins"] if one["host"] == "two"] == [
        ("greeter", "1.5.0"),
        ("simple-processor", "1.0.0"),
    ]
    assert settled["changes"] == []


def test_declared_pipelines_are_planned_then_brought_about(operator: Operator) -> None:
    variables = json.dumps({"declared_pipelines": [DECLARED, {"name": "old", "state": "absent"}]})
    state = FlexCoreDouble()
    with serving(state) as flexcore:  # type: ignore[arg-type]  # it is asked with get() only
        operator.host("one", flexcore.port)
        plan = operator.run("pipelines", variables, check=True)
        assert (plan.returncode, flexcore.writes, plan.stdout) == (0, [], "would create look, active\n"), plan.stderr
        done = operator.run("pipelines", variables)
        again = operator.run("pipelines", variables, "format=json")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["look", "active", "docs", "-", "turn", "count"],
        ["done:", "create", "look,", "active"],
    ]
    assert json.loads(again.stdout)["changes"] == []


def test_an_inventory_without_flexcore_is_an_error_and_still_one_document(operator: Operator) -> None:
    result = operator.run("health", "format=json")
    assert result.returncode == 2
    assert "no host in the group flexcore" in json.loads(result.stdout)["failures"][0]
