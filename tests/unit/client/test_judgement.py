"""What a health answer comes to, once it is decoded and its dialect is known or not."""

from __future__ import annotations

from typing import Any

import pytest
from flexcore_client.address import parse_address
from flexcore_client.clock import Deadline
from flexcore_client.connection import Connection
from flexcore_client.dialects import DIALECTS
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.event_loop import run
from flexcore_client.health import Judgement, blame, check_service, failed, judge, unchecked
from flexcore_client.models import HealthStatus, ServiceHealth
from flexcore_client.targets import Target

from tests.doubles import dialects, socket_double
from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import serving
from tests.doubles.socket_double import behaving

UNHEALTHY, DEGRADED = HealthStatus.UNHEALTHY, HealthStatus.DEGRADED
HEALTHY, UNKNOWN = HealthStatus.HEALTHY, HealthStatus.UNKNOWN
STORE = {"event_store": {"status": "down", "message": "no store"}}
DISK = {"disk": {"status": "degraded", "message": "5 % free"}}


@pytest.mark.parametrize(
    ("http_status", "claims", "expected"),
    [
        (200, {"status": "ok"}, Judgement(HEALTHY)),
        (499, {"status": "ok"}, Judgement(HEALTHY)),
        (500, {"status": "ok"}, Judgement(UNHEALTHY, "answered 500 with status 'ok'")),
        (500, {"status": "ok", "error": "boom"}, Judgement(UNHEALTHY, "boom")),
        (200, {"status": "down"}, Judgement(UNHEALTHY, "answered 200 with status 'down'")),
        (503, {"status": "x" * 60}, Judgement(UNHEALTHY, f"answered 503 with status '{'x' * 38}…")),
        (503, {}, Judgement(UNHEALTHY, "answered 503 with status None")),
        (503, {"error": "boom", "components": STORE}, Judgement(UNHEALTHY, "event_store: no store", "event_store")),
        (200, {"status": "fine"}, Judgement(UNKNOWN, "the health status 'fine' is not a known word")),
        (200, {}, Judgement(UNKNOWN, "the health status None is not a known word")),
        (200, {"status": "warn"}, Judgement(DEGRADED, "says it is degraded and not why")),
        (200, {"status": "warn", "message": "slow"}, Judgement(DEGRADED, "slow")),
        (200, {"status": "warn", "message": "slow", "components": DISK}, Judgement(DEGRADED, "disk: 5 % free", "disk")),
        (200, {"status": "ok", "components": DISK}, Judgement(DEGRADED, "claims healthy, but disk: 5 % free", "disk")),
    ],
)
def test_what_a_known_dialect_says(http_status: int, claims: dict[str, Any], expected: Judgement) -> None:
    assert judge(http_status, claims, DIALECTS["flexcore-v1"], "/info has api_versions") == expected


@pytest.mark.parametrize("word", ["ok", "warn", "fine"])
def test_from_an_unknown_dialect_only_illness_is_believed(word: str) -> None:
    words = "this is no FlexCore API that the client knows (/info: answered 404)"
    assert judge(200, {"status": word}, None, "/info: answered 404") == Judgement(UNKNOWN, words)
    assert judge(200, {"status": "down", "error": "boom"}, None, "").status is UNHEALTHY


def parts(**words: str) -> dict[str, dict[str, Any]]:
    return {
        name: {"status": status, "message": message or None}
        for name, (status, _, message) in ((name, word.partition(" ")) for name, word in words.items())
    }


@pytest.mark.parametrize(
    ("components", "cause", "first"),
    [
        ({}, None, None),
        (parts(disk="HEALTHY fine", redis="UNKNOWN strange"), None, None),
        (parts(disk="DEGRADED"), "disk: degraded", "disk"),
        (parts(disk="DEGRADED full", event_store="UNHEALTHY lost"), "event_store: lost; disk: full", "event_store"),
        (parts(disk="UNHEALTHY full", redis="UNHEALTHY gone"), "redis: gone; disk: full", "redis"),
        (parts(disk="UNHEALTHY full", postgresql="UNHEALTHY gone"), "postgresql: gone; disk: full", "postgresql"),
        (parts(disk="UNHEALTHY full", redis="DEGRADED slow"), "disk: full; redis: slow", "disk"),
        (
            parts(event_store="UNHEALTHY lost", job_queue="UNHEALTHY lost", postgresql="DEGRADED slow"),
            "postgresql: slow",
            "postgresql",
        ),
        (parts(job_queue="UNHEALTHY lost", postgresql="HEALTHY fine"), "job_queue: lost", "job_queue"),
    ],
)
def test_which_component_is_looked_at_first(
    components: dict[str, dict[str, Any]], cause: str | None, first: str | None
) -> None:
    assert blame(components) == (cause, first)


TARGET = Target("api", parse_address("http://core1:8080"))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("unreachable", UNHEALTHY),
        ("refused", UNHEALTHY),
        ("tls", UNHEALTHY),
        ("timeout", UNHEALTHY),
        ("http_status", UNKNOWN),
        ("bad_body", UNKNOWN),
        ("api_error", UNKNOWN),
        ("unsupported", UNKNOWN),
    ],
)
def test_a_service_that_gave_no_usable_answer(kind: str, status: HealthStatus) -> None:
    error = ClientError(FailureKind(kind), what="GET /health", reason="no answer", next_step="Look.", phase="connect")
    details = {
        "url": "http://core1:8080",
        "service": "flexcore",
        "cause": "no answer",
        "culprit": "flexcore",
        "failure": kind,
        "phase": "connect",
        "message": "GET /health: no answer. Look.",
    }
    expected = ServiceHealth("api", status, None, None, None, "2026-11-20T12:00:00.000Z", details)
    assert failed(TARGET, FakeClock(), error) == expected


def test_a_service_that_nobody_looked_at() -> None:
    details = {"url": "http://core1:8080", "service": "flexcore", "culprit": "flexcore", "cause": "no time"}
    assert unchecked(TARGET, "no time") == ServiceHealth("api", UNKNOWN, None, None, None, None, details)


def test_a_service_is_asked_with_its_token_and_within_the_time_that_is_left() -> None:
    clock = FakeClock()
    with serving(dialects.flexcore_v1()) as double:
        target = Target("api", parse_address(double.url), token="a-token")
        assert run(check_service(target, Deadline(clock, 5), clock, Connection())).healthy
        assert [seen.headers["authorization"] for seen in double.seen] == ["Bearer a-token"] * 2
        late = run(check_service(target, Deadline(clock, 0), clock, Connection()))
    assert (late.status, late.details["failure"]) == (UNHEALTHY, "timeout")


@pytest.mark.parametrize(
    ("said", "status", "cause"),
    [("+PONG", HEALTHY, None), ("-LOADING the dataset", UNHEALTHY, "LOADING the dataset")],
)
def test_a_server_that_speaks_another_protocol_than_http(said: str, status: HealthStatus, cause: str | None) -> None:
    clock = FakeClock()
    with behaving(socket_double.saying(f"{said}\r\n".encode())) as double:
        url = double.url("redis")
        target = Target("cache", parse_address(url))
        result = run(check_service(target, Deadline(clock, 5), clock, Connection()))
    culprit = "redis" if cause else None
    details = {"url": url, "service": "redis", "cause": cause, "culprit": culprit}
    expected = {**details, "evidence": f"answered PING with {said}"}
    assert result == ServiceHealth("cache", status, 0.0, None, None, "2026-11-20T12:00:00.000Z", expected)
