"""The module flexcore_health: verdicts as data, failures that explain themselves, waiting."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.doubles import dialects, socket_double
from tests.doubles.http_double import Reply, serving
from tests.doubles.socket_double import behaving
from tests.unit.modules.conftest import RunModule

CANARY = "canary-token-4711-canary-token"


def closed_url(scheme: str = "http") -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"{scheme}://127.0.0.1:{closed.getsockname()[1]}"


def test_one_healthy_service(run_module: RunModule) -> None:
    with serving(dialects.flexcore_v1()) as double:
        result = run_module("flexcore_health", url=double.url)
    assert (result["changed"], result["healthy"]) == (False, True)
    (target,) = result["targets"]
    assert target.keys() == {
        "service_name",
        "status",
        "response_time_ms",
        "version",
        "uptime",
        "last_check",
        "details",
    }
    assert (target["service_name"], target["status"], target["uptime"]) == ("flexcore", "HEALTHY", 93)


def test_several_services_in_the_order_given(run_module: RunModule) -> None:
    with serving(dialects.flexcore_v1()) as flexcore, behaving(socket_double.saying(b"+PONG\r\n")) as redis:
        targets = [
            {"name": "cache", "url": redis.url("redis")},
            {"url": flexcore.url},
            {"url": closed_url("postgresql")},
        ]
        result = run_module("flexcore_health", targets=targets)
    assert [(t["service_name"], t["status"]) for t in result["targets"]] == [
        ("cache", "HEALTHY"),
        ("flexcore", "HEALTHY"),
        ("postgresql", "UNHEALTHY"),
    ]
    assert result["healthy"] is False
    assert "failed" not in result


def test_an_unhealthy_service_fails_the_task_only_when_asked(run_module: RunModule) -> None:
    down = dialects.flexcore_v1(postgresql=dialects.component("unhealthy", "connection refused"))
    with serving(down) as double:
        assert "failed" not in run_module("flexcore_health", url=double.url)
        result = run_module("flexcore_health", url=double.url, fail_on_unhealthy=True)
    assert result["failed"]
    assert result["msg"] == "flexcore is UNHEALTHY: postgresql: connection refused"
    assert result["targets"][0]["details"]["culprit"] == "postgresql"


def test_waiting_until_it_is_healthy(run_module: RunModule) -> None:
    good = dialects.flexcore_v1()
    left = iter([Reply("", 503)] * 2)
    with serving({**good, "/health": lambda seen: next(left, None) or good["/health"](seen)}) as double:
        result = run_module("flexcore_health", url=double.url, wait=True, wait_interval=0.01, wait_stable=2)
    assert result["healthy"]
    assert result["waited_seconds"] >= 0.03


def test_waiting_ends(run_module: RunModule) -> None:
    result = run_module("flexcore_health", url=closed_url(), wait=True, wait_interval=0.01, wait_timeout=0.05)
    assert result["healthy"] is False
    assert 0.05 <= result["waited_seconds"] < 1


def test_check_mode_looks_once_and_does_not_wait(run_module: RunModule) -> None:
    with serving({"/health": Reply("", 503)}) as double:
        result = run_module("flexcore_health", check_mode=True, url=double.url, wait=True)
        assert double.paths == ["/health"]
    assert "waited_seconds" not in result


def test_environment_and_explicit_values(run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(dialects.flexcore_v1()) as double:
        monkeypatch.setenv("FLEXCORE_URL", double.url)
        monkeypatch.setenv("FLEXCORE_TOKEN", CANARY)
        assert run_module("flexcore_health")["healthy"]
        assert double.seen[0].headers["authorization"] == f"Bearer {CANARY}"
        run_module("flexcore_health", url=closed_url(), token="another-token")
        run_module("flexcore_health", targets=[{"url": closed_url()}])
        assert {seen.headers["authorization"] for seen in double.seen} == {f"Bearer {CANARY}"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give at least one target"),
        ({"url": "core1:8080"}, "an address looks like"),
        ({"targets": [{"url": "http://a"}, {"url": "ftp://b"}]}, "target 2: "),
    ],
)
def test_wrong_arguments(run_module: RunModule, arguments: dict[str, Any], words: str) -> None:
    result = run_module("flexcore_health", **arguments)
    assert result["failed"]
    assert words in result["msg"]
    assert result["failure"] == "input"


def test_a_password_in_an_address_is_hidden_everywhere(run_module: RunModule) -> None:
    result = run_module("flexcore_health", url=f"http://admin:{CANARY}@127.0.0.1:8080")
    assert result["failed"]
    assert CANARY not in repr(result)


def test_a_token_in_the_clear_is_warned_about(run_module: RunModule) -> None:
    result = run_module("flexcore_health", url="http://192.0.2.1:8080", token=CANARY, timeout=0.05)
    assert any("travels unencrypted to http://192.0.2.1:8080" in str(warning) for warning in result["warnings"])
    assert CANARY not in repr(result)
    assert "warnings" not in run_module("flexcore_health", url=closed_url(), token=CANARY)
    result = run_module("flexcore_health", url="http://192.0.2.1:8080", timeout=0.05)
    assert any("What is asked and answered travels unencrypted" in str(warning) for warning in result["warnings"])
