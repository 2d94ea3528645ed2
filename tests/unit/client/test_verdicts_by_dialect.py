"""The verdict on every generation of FlexCore, and on what only looks like one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.models import HealthStatus, ServiceHealth
from flexcore_client.targets import parse_targets

from tests.doubles import dialects
from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import Reply, Routes, serving


def verdict_on(routes: Routes, **asked: Any) -> ServiceHealth:
    with serving(routes) as double:
        return check(parse_targets([{"url": double.url}], **asked))[0]


@pytest.mark.parametrize(
    ("routes", "dialect", "evidence"),
    [
        (dialects.flexcore_v1(), "flexcore-v1", "/info has api_versions"),
        (
            dialects.seed_2025(),
            "seed-2025",
            "service flexcore-container-real, /api/v1/flexcore/status answers",
        ),
        (dialects.legacy_2025(), "legacy-2025", "/info has cluster and node_id, and no api_versions"),
        (dialects.gin_2025(), "gin-2025", "/health says ok, /api/v1 lists endpoints"),
        (dialects.s0_client(), "s0-client", "/api/v1/plugins is a bare array"),
    ],
)
def test_what_a_dialect_was_recognised_by_is_told(routes: Routes, dialect: str, evidence: str) -> None:
    details = verdict_on(routes).details
    assert (details["dialect"], details["evidence"]) == (dialect, evidence)


@pytest.mark.parametrize(
    ("routes", "dialect", "status"),
    [
        (dialects.flexcore_v1(), "flexcore-v1", "HEALTHY"),
        (dialects.seed_2025(), "seed-2025", "HEALTHY"),
        (dialects.legacy_2025(), "legacy-2025", "HEALTHY"),
        (dialects.gin_2025(), "gin-2025", "HEALTHY"),
        (dialects.gin_2025(bus=Reply({"error": "redis: connection refused"}, 503)), "gin-2025", "UNHEALTHY"),
        (dialects.gin_2025_first_build(), "gin-2025", "UNKNOWN"),
        (dialects.s0_client(), "s0-client", "HEALTHY"),
    ],
)
def test_each_dialect_is_recognised_and_judged(routes: Routes, dialect: str, status: str) -> None:
    result = verdict_on(routes)
    assert (result.details["dialect"], result.status.value) == (dialect, status)
    assert (result.details["cause"] is None) == (status == "HEALTHY")


def in_full(routes: Routes, **asked: Any) -> dict[str, Any]:
    """The whole verdict by a clock that stands still, with ``url`` for the address of the double."""
    with serving(routes) as double:
        result = check(parse_targets([{"url": double.url}], **asked), clock=FakeClock())[0].to_dict()
        found: dict[str, Any] = json.loads(json.dumps(result).replace(double.url, "url"))
        return found


def told(status: str, cause: str | None = None, culprit: str | None = "flexcore", **details: Any) -> dict[str, Any]:
    """A verdict without version and uptime, reached at the time at which the clock stands still."""
    return {
        "service_name": "flexcore",
        "status": status,
        "response_time_ms": 0.0,
        "version": None,
        "uptime": None,
        "last_check": "2026-11-20T12:00:00.000Z",
        "details": {"url": "url", "service": "flexcore", "cause": cause, "culprit": culprit, **details},
    }


def test_our_own_server_in_full() -> None:
    part = {"status": "HEALTHY", "message": "answers", "version": None, "response_time_ms": 1.5}
    assert in_full(dialects.flexcore_v1()) == {
        **told(
            "HEALTHY",
            culprit=None,
            dialect="flexcore-v1",
            evidence="/info has api_versions",
            caveat="",
            node_id="core1",
            components={
                "postgresql": {**part, "version": "15.14"},
                "redis": {**part, "version": "7.0.15"},
                **dict.fromkeys(("event_store", "plugin_runtime", "job_queue", "disk"), part),
            },
        ),
        "version": "0.1.0+abc",
        "uptime": 93,
    }


CONSTANT = "its /health is a constant that checks nothing"
BUS = "/api/v1/plugins/communication/status"


@pytest.mark.parametrize(
    ("routes", "status", "cause", "culprit"),
    [
        (dialects.gin_2025(), "HEALTHY", None, None),
        (
            dialects.gin_2025(bus=Reply("the bus is gone", 500)),
            "UNHEALTHY",
            "claims healthy, but its Redis bus is down (the bus is gone)",
            "redis",
        ),
        (
            dialects.gin_2025_first_build(),
            "UNKNOWN",
            f"claims healthy, but {CONSTANT}, and this build has no route that proves more",
            "flexcore",
        ),
        (
            dialects.gin_2025(bus=Reply(b"x", headers={"Content-Encoding": "gzip"})),
            "UNKNOWN",
            f"claims healthy, but {CONSTANT}, and {BUS}: the body is gzip-encoded, unasked",
            "flexcore",
        ),
    ],
)
def test_where_health_is_a_constant_the_route_that_reflects_something_decides(
    routes: Routes, status: str, cause: str | None, culprit: str | None
) -> None:
    known = {"dialect": "gin-2025", "evidence": "/health says ok, /api/v1 lists endpoints", "caveat": CONSTANT}
    expected = {**told(status, cause, culprit, **known, node_id=None, components={}), "version": "dev"}
    assert in_full(routes) == expected


def test_a_server_that_is_ill_in_its_own_words_is_not_asked_for_more() -> None:
    with serving({**dialects.gin_2025(), "/health": Reply({"status": "down"})}) as double:
        check(parse_targets([{"url": double.url}], api="gin-2025"))
        assert double.paths == ["/health"]


def test_a_dependency_that_failed_is_the_culprit_and_its_consequences_are_not_named() -> None:
    down = dialects.component("unhealthy", "connection refused")
    result = verdict_on(dialects.flexcore_v1(postgresql=down, event_store=dialects.component("unhealthy", "no store")))
    assert result.status is HealthStatus.UNHEALTHY
    assert result.details["cause"] == "postgresql: connection refused"
    assert result.details["culprit"] == "postgresql"


def test_what_is_dead_is_named_before_what_is_degraded() -> None:
    result = verdict_on(
        dialects.flexcore_v1(
            disk=dialects.component("degraded", "5 % free"), redis=dialects.component("unhealthy", "no answer")
        )
    )
    assert result.details["cause"] == "redis: no answer; disk: 5 % free"
    assert result.details["culprit"] == "redis"


def test_a_degraded_component_degrades() -> None:
    result = verdict_on(dialects.flexcore_v1(disk=dialects.component("degraded", "5 % free")))
    assert (result.status.value, result.details["culprit"]) == ("DEGRADED", "disk")


def test_a_server_that_claims_health_while_a_component_is_ill_is_not_believed() -> None:
    routes = {**dialects.seed_2025()}
    routes["/health"] = Reply({**routes["/health"].body, "components": {"event_store": "unhealthy"}})
    result = verdict_on(routes)
    assert result.status is HealthStatus.DEGRADED
    assert result.details["cause"] == "claims healthy, but event_store: unhealthy"


@pytest.mark.parametrize(
    "routes",
    [
        {"/health": Reply({"status": "healthy", "version": "9"})},
        {"/health": Reply({"status": "ok"}), "/api/v1": Reply({"api": "another"})},
        {"/health": Reply({"status": "healthy"}), "/info": Reply({"app": "another"})},
        {"/health": Reply({"status": "healthy"}), "/info": Reply({"cluster": "another"})},
        {"/health": Reply({"status": "healthy", "service": "flexcore-container-real"})},
        {"/health": Reply(["healthy"])},
        {"/health": Reply("null", headers={"Content-Type": "application/json"})},
    ],
)
def test_an_unknown_api_is_unknown_with_the_evidence(routes: Routes) -> None:
    result = verdict_on(routes)
    assert result.status is HealthStatus.UNKNOWN
    assert "no FlexCore API that the client knows" in result.details["cause"]
    assert "/api/v1/plugins" in result.details["evidence"]


def test_what_was_tried_is_told_in_order() -> None:
    result = verdict_on({"/health": Reply({"status": "healthy"}), "/info": Reply({"app": "another"})})
    assert result.details["evidence"] == (
        "/info: neither api_versions nor cluster and node_id; /api/v1/plugins: answered 404: 404 page not found"
    )
    result = verdict_on({"/health": Reply({"status": "healthy"}), "/info": Reply([]), "/api/v1/plugins": Reply({})})
    assert result.details["evidence"] == "no known mark in any answer"


def test_an_unknown_api_in_full() -> None:
    evidence = "/info: answered 404: 404 page not found; /api/v1/plugins: answered 404: 404 page not found"
    assert in_full({"/health": Reply({"status": "healthy", "version": "9"})}) == {
        **told(
            "UNKNOWN",
            f"this is no FlexCore API that the client knows ({evidence})",
            dialect=None,
            evidence=evidence,
            caveat=None,
            node_id=None,
            components={},
        ),
        "version": "9",
    }


def test_a_forced_dialect_in_full() -> None:
    assert in_full({"/health": Reply({"status": "warn", "node_id": "n1"})}, api="legacy-2025") == told(
        "DEGRADED",
        "says it is degraded and not why",
        dialect="legacy-2025",
        evidence="forced by api: legacy-2025",
        caveat="its /health names no component",
        node_id="n1",
        components={},
    )


@pytest.mark.parametrize("word", ["fine", "", 1, None, True, {"a": 1}, ["healthy"]])
def test_a_status_that_is_no_known_word_is_unknown(word: Any) -> None:
    result = verdict_on({**dialects.s0_client(), "/health": Reply({"status": word})})
    assert result.status is HealthStatus.UNKNOWN


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("body", ["<html>Bad Gateway</html>", "", {"error": "boom", "details": "no store"}])
def test_a_server_error_is_unhealthy_in_the_servers_words(status: int, body: Any) -> None:
    result = verdict_on({"/health": Reply(body, status)})
    assert result.status is HealthStatus.UNHEALTHY
    assert (
        result.details["cause"] == "boom: no store"
        if isinstance(body, dict)
        else str(status) in result.details["cause"]
    )


def test_a_server_error_that_claims_health_is_unhealthy() -> None:
    assert (
        verdict_on({**dialects.s0_client(), "/health": Reply({"status": "healthy"}, 503)}).status.value == "UNHEALTHY"
    )


@pytest.mark.parametrize(
    ("body", "said"), [("<html>Bad Gateway</html>", "<html>Bad Gateway</html>"), ("", "an empty body")]
)
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_that_is_no_document_in_full(status: int, body: str, said: str) -> None:
    assert in_full({"/health": Reply(body, status)}) == told("UNHEALTHY", f"answered {status} to /health: {said}")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (300, {"status": "healthy"}, "answered 300, a redirect, which is not followed"),
        (302, "", "answered 302, a redirect, which is not followed"),
        (399, "", "answered 399, a redirect, which is not followed"),
        (400, "", "answered 400: an empty body"),
        (401, {"detail": "no"}, "answered 401: it wants a token that may read it"),
        (403, {"detail": "no"}, "answered 403: it wants a token that may read it"),
        (404, "404 page not found", "answered 404: 404 page not found"),
        (499, {"status": "healthy"}, 'answered 499: {"status": "healthy"}'),
    ],
)
def test_an_answer_that_leaves_open_who_gave_it_in_full(status: int, body: Any, reason: str) -> None:
    step = "Check that the address is FlexCore's own, without a proxy that redirects or asks for a login."
    message = f"GET url/health: {reason}. {step}"
    expected = told("UNKNOWN", reason, failure="http_status", phase=None, message=message)
    assert in_full({"/health": Reply(body, status)}) == {**expected, "response_time_ms": None}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("<html>Welcome</html>", headers={"Content-Type": "text/html"}), "not JSON (text/html"),
        (Reply("", headers={"Content-Type": "application/json"}), "not JSON (application/json, empty)"),
        (Reply('{"status": "hea', headers={"Content-Type": "application/json"}), "not JSON"),
        (Reply(b"\xff\xfe\x00", headers={"Content-Type": "application/json"}), "not JSON"),
        (Reply(b"[" * 100_000, headers={"Content-Type": "application/json"}), "not JSON"),
        (Reply(b"x", headers={"Content-Encoding": "gzip"}), "gzip-encoded, unasked"),
        (Reply("", 302, {"Location": "/login?next=secret"}), "answered 302, a redirect"),
        (Reply("", 301, {"Location": "/health"}), "answered 301, a redirect"),
        (Reply({"detail": "no"}, 401), "wants a token"),
        (Reply("404 page not found", 404), "answered 404: 404 page not found"),
        (Reply("", 204), "not JSON"),
    ],
)
def test_an_answer_that_is_no_health_document_is_unknown(reply: Reply, words: str) -> None:
    result = verdict_on({"/health": reply})
    assert result.status is HealthStatus.UNKNOWN
    assert words in result.details["cause"]


def test_a_forced_dialect_is_not_detected() -> None:
    with serving({"/health": Reply({"status": "healthy"})}) as double:
        result = check(parse_targets([{"url": double.url}], api="legacy-2025"))[0]
        assert double.paths == ["/health"]
    assert (result.status.value, result.details["dialect"]) == ("HEALTHY", "legacy-2025")


def test_detection_asks_no_more_than_it_needs() -> None:
    with serving(dialects.flexcore_v1()) as double:
        check(parse_targets([{"url": double.url}]))
        assert double.paths == ["/health", "/info"]


@pytest.mark.parametrize(
    ("uptime", "seconds"), [(93.7, 93), ("5m30s", 330), ("1h0m2.5s", 3602), ("2026-11-20T11:23:43Z", None)]
)
@pytest.mark.parametrize("extra", [{}, {"version": 3}])
def test_version_and_uptime_are_optional_and_typed(uptime: Any, seconds: int | None, extra: dict[str, Any]) -> None:
    routes = {**dialects.s0_client(), "/health": Reply({"status": "up", "uptime": uptime, **extra})}
    result = verdict_on(routes)
    assert (result.status.value, result.uptime, result.version) == ("HEALTHY", seconds, None)


def test_a_slow_answer_is_degraded_when_a_limit_says_so() -> None:
    with serving(dialects.flexcore_v1()) as double:
        targets = parse_targets([{"url": double.url}])
        assert check(targets, CheckOptions(max_response_time_ms=60_000))[0].healthy
        result = check(targets, CheckOptions(max_response_time_ms=0.001))[0]
    assert result.status is HealthStatus.DEGRADED
    assert "allowed are 0.001 ms" in result.details["cause"]


def test_terminal_escapes_and_newlines_of_a_server_do_not_reach_the_operator() -> None:
    result = verdict_on({"/health": Reply({"status": "down", "error": "a\x1b[31m\nb" + "c" * 500})})
    assert result.details["cause"].startswith("a [31m b")
    assert len(result.details["cause"]) <= 200
