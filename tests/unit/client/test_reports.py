"""What several hosts saw becomes one report, and a report is pleasant to read."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flexcore_client.health_report import health_report
from flexcore_client.node_reports import logs_report, pipelines_report, plugins_report
from flexcore_client.report_printer import log_line, print_report

SHARED = "postgresql://10.0.0.1:5432"


def targets(host: str, dependency: str = SHARED) -> list[dict[str, str]]:
    return [{"name": "flexcore", "url": f"http://{host}:8080"}, {"name": "postgresql", "url": dependency}]


def verdict(url: str, status: str = "HEALTHY", cause: str | None = None, took: float | None = 1.0) -> dict[str, Any]:
    service = {"http": "flexcore"}.get(url.partition(":")[0], url.partition(":")[0])
    return {
        "service_name": service,
        "status": status,
        "response_time_ms": took,
        "version": "1" if status == "HEALTHY" else None,
        "uptime": 5,
        "last_check": "2026-11-20T12:00:00.000Z",
        "details": {"url": url, "service": service, "cause": cause, "culprit": service if cause else None},
    }


def seen(host: str, *verdicts: dict[str, Any]) -> dict[str, Any]:
    return {"host": host, "targets": targets(host), "result": {"targets": list(verdicts)}}


def gone(host: str) -> dict[str, Any]:
    message = "Task failed: Failed to connect to the host via ssh: ssh: connect to host 10.0.0.9: No route to host"
    return {"host": host, "targets": targets(host), "result": {"unreachable": True, "msg": message}}


def test_a_report_in_full() -> None:
    row = {
        "uptime_seconds": 5,
        "last_check": "2026-11-20T12:00:00.000Z",
        "host": "a",
        "seen_from": ["a"],
        "response_time_ms": 1.0,
    }
    healthy = {"status": "HEALTHY", "version": "1", "cause": None, "culprit": None}
    dead = {"status": "UNHEALTHY", "version": None, "cause": "no answer", "culprit": "redis"}
    redis = "redis://10.0.0.1:6379"
    seen_by_a = seen("a", verdict(redis, "UNHEALTHY", "no answer"), verdict(SHARED), verdict("http://a:8080"))
    assert health_report([seen_by_a]) == {
        "report": "health",
        "healthy": False,
        "summary": "1 of 3 services are not healthy, look at redis first",
        "services": [
            {**row, **healthy, "service": "flexcore", "kind": "flexcore", "address": "http://a:8080"},
            {**row, **healthy, "service": "postgresql", "kind": "postgresql", "address": SHARED},
            {**row, **dead, "service": "redis", "kind": "redis", "address": redis},
        ],
        "url": "http://a:8080",
    }


def test_a_shared_service_is_one_row_and_flexcore_one_per_node() -> None:
    report = health_report(
        [seen(host, verdict(f"http://{host}:8080"), verdict(SHARED, took=took)) for host, took in (("a", 1), ("b", 2))]
    )
    assert [(r["service"], r["host"], r["seen_from"]) for r in report["services"]] == [
        ("flexcore", "a", ["a"]),
        ("flexcore", "b", ["b"]),
        ("postgresql", "b", ["a", "b"]),
    ]
    assert report["healthy"]
    assert report["summary"] == "all 3 services are healthy"
    assert report["url"] == "http://a:8080"


def test_the_worst_verdict_wins_and_says_where_from() -> None:
    report = health_report(
        [
            seen("a", verdict("http://a:8080"), verdict(SHARED)),
            seen("b", verdict("http://b:8080"), verdict(SHARED, "UNHEALTHY", "no route to host")),
        ]
    )
    row = report["services"][-1]
    assert (row["status"], row["cause"], row["version"]) == ("UNHEALTHY", "seen from b: no route to host", "1")
    assert not report["healthy"]
    assert report["summary"] == "1 of 3 services are not healthy, look at postgresql first"


def test_of_two_verdicts_that_are_as_bad_the_one_with_an_answer_is_shown_and_the_slower_one() -> None:
    for times in ([None, 0.5], [0.5, None], [0.1, 0.5], [0.5, 0.1]):
        report = health_report([seen(host, verdict(SHARED, took=took)) for host, took in zip("ab", times, strict=True)])
        assert report["services"][0]["response_time_ms"] == 0.5


def test_what_flexcore_fails_for_is_looked_at_before_flexcore() -> None:
    verdicts = [verdict("http://a:8080", "UNHEALTHY", "no store"), verdict(SHARED, "UNHEALTHY", "no answer")]
    summary = "2 of 2 services are not healthy, look at postgresql first"
    assert health_report([seen("a", *verdicts)])["summary"] == summary


def test_a_service_that_several_hosts_see_dead_needs_no_place() -> None:
    dead = verdict(SHARED, "UNHEALTHY", "connection refused")
    report = health_report([seen(host, verdict(f"http://{host}:8080"), dead) for host in "ab"])
    assert report["services"][-1]["cause"] == "connection refused"


def test_loopback_is_another_service_on_each_host() -> None:
    local = "postgresql://127.0.0.1:5432"
    report = health_report([seen(host, verdict(f"http://{host}:8080"), verdict(local)) for host in "ab"])
    assert [row["service"] for row in report["services"]].count("postgresql") == 2


def test_a_host_that_is_down_is_a_row_and_has_no_say_about_others() -> None:
    report = health_report([gone("a"), seen("b", verdict("http://b:8080"), verdict(SHARED))])
    assert [(r["service"], r["host"], r["status"]) for r in report["services"]] == [
        ("flexcore", "a", "UNKNOWN"),
        ("flexcore", "b", "HEALTHY"),
        ("postgresql", "b", "HEALTHY"),
    ]
    cause = report["services"][0]["cause"]
    assert cause.endswith("to check from it: ssh: connect to host 10.0.0.9: No route to host")
    assert report["url"] == "http://b:8080"


def test_when_nobody_could_look_everything_is_unknown() -> None:
    report = health_report([gone("a")])
    assert [row["status"] for row in report["services"]] == ["UNKNOWN", "UNKNOWN"]
    assert not report["healthy"]
    assert report["url"] is None


def test_a_check_that_failed_to_run_is_unknown_with_the_reason() -> None:
    report = health_report([{"host": "a", "targets": targets("a"), "result": {"msg": "httpx is missing"}}])
    assert shown(report)[1].split()[:5] == ["flexcore", "UNKNOWN", "-", "-", "http://a:8080"]
    assert report["services"][0]["cause"] == "the check could not run: httpx is missing"


def test_nothing_checked_is_not_healthy() -> None:
    assert health_report([]) == {
        "report": "health",
        "healthy": False,
        "summary": "there is no service to check",
        "services": [],
        "url": None,
    }


def shown(report: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    print_report(report, out)
    return out.getvalue().splitlines()


def test_the_health_table() -> None:
    cause = "a cause that is much longer than any terminal is wide, and still " * 3
    report = health_report([seen("a", verdict("http://a:8080"), verdict(SHARED, "UNHEALTHY", cause))])
    head, first, second, empty, last = shown(report)
    assert head.split() == ["SERVICE", "STATUS", "VERSION", "RESPONSE", "ADDRESS", "CAUSE"]
    assert first.split() == ["flexcore", "HEALTHY", "1", "1.0", "ms", "http://a:8080"]
    assert second.endswith(cause.rstrip())
    assert (empty, last) == ("", "FlexCore: http://a:8080")


def test_nodes_are_told_apart_by_their_host() -> None:
    report = health_report([seen(host, verdict(f"http://{host}:8080")) for host in "ab"])
    assert [line.split()[:2] for line in shown(report)[1:3]] == [["flexcore", "a"], ["flexcore", "b"]]


TYPES = {"x": "tap", "y": None}


def plugin(plugin_id: str) -> dict[str, Any]:
    return {"id": plugin_id, "version": "1", "type": TYPES[plugin_id], "status": "active", "description": "does"}


def test_plugins_of_all_nodes() -> None:
    report = plugins_report(
        [
            {"host": "b", "result": {"plugins": [plugin("y"), plugin("x")]}},
            {"host": "a", "result": {"plugins": [plugin("x")]}},
            {"host": "c", "result": {"msg": "connection refused"}},
        ]
    )
    assert [(p["id"], p["host"]) for p in report["plugins"]] == [("x", "a"), ("x", "b"), ("y", "b")]
    assert {name: report[name] for name in report if name != "plugins"} == {
        "report": "plugins",
        "complete": False,
        "failures": [{"host": "c", "reason": "connection refused"}],
        "changes": [],
        "planned": False,
    }
    assert [line.split() for line in shown(report)] == [
        ["NODE", "PLUGIN", "VERSION", "TYPE", "STATUS", "DESCRIPTION"],
        ["a", "x", "1", "tap", "active", "does"],
        ["b", "x", "1", "tap", "active", "does"],
        ["b", "y", "1", "-", "active", "does"],
        ["c:", "connection", "refused"],
    ]


def record(second: int, message: str, **fields: Any) -> dict[str, Any]:
    return {
        "timestamp": f"2026-11-20T12:00:{second:02}.000Z",
        "level": "info",
        "message": message,
        "component": "http",
        "correlation_id": None,
        "node_id": None,
        "fields": fields,
    }


@pytest.mark.parametrize(("lines", "messages"), [(10, ["one", "two", "three"]), (2, ["two", "three"])])
def test_logs_of_all_nodes_newest_last(lines: int, messages: list[str]) -> None:
    report = logs_report(
        [
            {"host": "a", "result": {"records": [record(1, "one"), record(3, "three", path="/x")]}},
            {"host": "b", "result": {"records": [record(2, "two\x1b[0m\nmore")]}},
        ],
        lines,
    )
    assert [r["message"].split("\x1b")[0] for r in report["records"]] == messages
    assert shown(report)[-2:] == [
        "2026-11-20T12:00:02.000Z INFO     b http two [0m more",
        "2026-11-20T12:00:03.000Z INFO     a http three path=/x",
    ]


def test_records_without_a_time_come_first_in_the_order_they_had() -> None:
    timeless = [{**record(0, message), "timestamp": None} for message in ("zero", "half")]
    report = logs_report([{"host": "a", "result": {"records": [record(1, "one"), *timeless]}}], 10)
    assert [r["message"] for r in report["records"]] == ["zero", "half", "one"]
    assert (report["complete"], report["failures"]) == (True, [])


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "Failed to connect to the host via ssh: no\nroute"}, "no route"),
        ({"msg": "it is missing"}, "it is missing"),
        ({"rc": 1}, "no reason given"),
    ],
)
def test_a_node_without_logs_is_told_with_its_reason(result: dict[str, Any], reason: str) -> None:
    report = logs_report([{"host": "a", "result": result}], 10)
    assert report == {
        "report": "logs",
        "complete": False,
        "records": [],
        "failures": [{"host": "a", "reason": reason}],
    }


def test_a_record_of_which_only_the_message_is_known() -> None:
    unknown = {"timestamp": None, "level": None, "component": None}
    assert log_line({**record(0, "x" * 3000), **unknown}) == "- -        " + "x" * 1999 + "…"
    assert log_line({**record(0, "said"), **unknown, "node_id": "core1"}) == "- -        core1 said"


def test_nodes_that_gave_no_log_are_named_after_the_records() -> None:
    silent = {"host": "b", "result": {"msg": "connection refused"}}
    report = logs_report([{"host": "a", "result": {"records": [record(1, "one")]}}, silent], 10)
    assert shown(report) == ["2026-11-20T12:00:01.000Z INFO     a http one", "b: connection refused"]


def brought(before: dict[str, Any], after: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"changed": before != after, "diff": {"before": before, "after": after}, **more}


@pytest.mark.parametrize(("planned", "word"), [(True, "would"), (False, "done:")])
def test_the_changes_of_plugins_are_named(planned: bool, word: str) -> None:
    results = [
        brought({}, {"id": "a", "version": "2", "status": "active"}, actions=["install"]),
        brought({"id": "b", "version": "1", "status": "active"}, {}, actions=["remove"]),
        {"failed": True, "msg": "no"},
    ]
    report = plugins_report([], results, planned)
    assert report["changes"] == ["install a 2", "remove b 1"]
    out = io.StringIO()
    print_report(report, out)
    assert out.getvalue() == f"{word} install a 2\n{word} remove b 1\n"


def test_the_changes_of_pipelines_are_named() -> None:
    there = {"name": "look", "status": "draft", "steps": {}}
    results = [
        brought({}, {**there, "status": "active"}),
        brought(there, {**there, "status": "active"}),
        brought(there, {**there, "owner": "b"}),
        brought(there, {}),
        brought(there, there),
    ]
    pipelines = [
        {"name": "look", "status": "draft", "owner": "", "last_run": None, "steps": [{"id": "a"}, {"id": "b"}]}
    ]
    report = pipelines_report(pipelines, results, planned=True)
    assert report["changes"] == ["create look, active", "activate look", "recreate look", "remove look"]
    assert shown(report) == [
        "PIPELINE  STATUS  OWNER  LAST RUN  STEPS",
        "look      draft   -      -         a b",
        "would create look, active",
        "would activate look",
        "would recreate look",
        "would remove look",
    ]


def test_a_pipeline_is_shown_with_its_owner_and_its_last_run() -> None:
    pipeline = {"name": "look", "status": "active", "owner": "ada", "last_run": "2026-11-20T12:00:00Z", "steps": []}
    assert shown(pipelines_report([pipeline], [], planned=False))[1].split() == [
        "look",
        "active",
        "ada",
        "2026-11-20T12:00:00Z",
    ]
