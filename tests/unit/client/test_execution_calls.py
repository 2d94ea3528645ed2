"""Calls about executions: how one is found, begun once, waited for, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from flexcore_client.errors import ClientError
from flexcore_client.execution_calls import ExecutionCalls, failure_of

from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import Reply, serving
from tests.unit.client.asking import API, asked, busy, caller, told

EXECUTIONS = f"{API}/executions"
BODY = {"operation": "reverse", "parameters": {"timeout_seconds": 30.0, "data": {"text": "abc"}}}

call = caller(ExecutionCalls)


def test_an_earlier_execution_is_looked_for_page_by_page() -> None:
    wanted = {"execution_id": "x9", "correlation_id": "once"}
    pages = {
        None: {"executions": [{"correlation_id": "other"}, "rubbish"], "next_cursor": "c2", "has_more": True},
        "c2": {"executions": [wanted], "next_cursor": "c3", "has_more": True},
    }
    with serving({EXECUTIONS: lambda seen: Reply(pages[seen.query.get("cursor")])}) as double:
        assert call(double, "earlier", "p1", "once") == wanted
    first = {"plugin_id": "p1", "limit": "200"}
    assert [query for _, query, _ in asked(double)] == [first, {**first, "cursor": "c2"}]


@pytest.mark.parametrize(
    "last",
    [
        {"executions": [], "next_cursor": "c2", "has_more": False},
        {"executions": [], "next_cursor": None, "has_more": True},
        {"executions": [], "has_more": True},
        [],
    ],
)
def test_the_last_page_ends_the_search(last: Any) -> None:
    with serving({EXECUTIONS: Reply(last)}) as double:
        assert call(double, "earlier", "p1", "once") is None
    assert len(double.seen) == 1


def test_a_list_without_end_is_given_up_after_a_hundred_pages() -> None:
    with serving({EXECUTIONS: Reply({"executions": [], "next_cursor": "again", "has_more": True})}) as double:
        assert call(double, "earlier", "p1", "once") is None
    assert len(double.seen) == 100


def test_an_execution_is_begun_once_under_its_key_or_one_of_its_own() -> None:
    queued = Reply({"execution_id": "x1", "status": "queued"}, 202)
    replies = iter([busy(1), queued, queued, queued])
    with serving({f"POST {API}/plugins/a%2Fb/execute": lambda _seen: next(replies)}) as double:
        for key in ("once", None, None):
            assert call(double, "begin", "a/b", BODY, key) == "x1"
    keyed = {**BODY, "metadata": {"correlation_id": "once"}}
    assert [query for _, query, _ in asked(double)] == [{"async": "true"}] * 4
    assert [document for *_, document in asked(double)] == [keyed, keyed, BODY, BODY]
    keys = [seen.headers["idempotency-key"] for seen in double.seen]
    assert keys[:2] == ["once", "once"]
    assert UUID(keys[2]) != UUID(keys[3])
    assert [seen.headers["x-correlation-id"] for seen in double.seen] == keys


def test_a_server_that_names_no_execution_has_a_bad_body() -> None:
    routes = {f"POST {API}/plugins/p1/execute": Reply({"status": "queued"}, 202)}
    with serving(routes) as double, pytest.raises(ClientError, match="the answer has no execution_id"):
        call(double, "begin", "p1", BODY, None)


def test_the_end_is_looked_for_every_fifth_of_a_second() -> None:
    clock, statuses = FakeClock(), iter(["queued", "running", "completed"])
    with serving({f"{EXECUTIONS}/a%2Fb": lambda _seen: Reply({"status": next(statuses)})}) as double:
        assert call(double, "ended", "a/b", 30.0, clock=clock) == {"status": "completed"}
    assert clock.slept == [0.2, 0.2]


@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_execution_that_does_not_end_in_time_is_told_with_its_id(status: str) -> None:
    clock = FakeClock()
    with serving({f"{EXECUTIONS}/x1": Reply({"status": status})}) as double, pytest.raises(ClientError) as caught:
        call(double, "ended", "x1", 0.5, clock=clock)
    assert clock.slept == [0.2, 0.2, pytest.approx(0.1)]
    assert told(caught.value) == {
        "kind": "timeout",
        "text": f"Waiting for execution x1 at {double.url}: it is still {status} after 0.5 s. "
        "Look at it later by its id, or allow more time (wait_timeout).",
        "phase": "total",
        "http_status": None,
        "facts": {"execution_id": "x1", "status": status},
    }


@pytest.mark.parametrize(
    ("execution", "why"),
    [
        ({"status": "completed", "success": True}, None),
        ({"status": "completed", "success": None}, None),
        ({"status": "completed"}, None),
        ({"status": "completed", "success": False}, "the plugin says that it did not succeed: see result"),
        (
            {"status": "completed", "success": False, "error": "no text"},
            "the plugin says that it did not succeed: no text",
        ),
        ({"status": "failed", "error": "division by zero"}, "it ended as failed: division by zero"),
        ({"status": "timed_out", "success": True}, "it ended as timed_out: no reason given"),
    ],
)
def test_why_an_execution_is_no_success(execution: Mapping[str, Any], why: str | None) -> None:
    assert failure_of(execution) == why
