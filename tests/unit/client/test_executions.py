"""Executions of plugins: what is asked for them, how their end is waited for, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError, InputError
from flexcore_client.exchange import Timeouts
from flexcore_client.execution_calls import ExecutionCalls, failure_of
from flexcore_client.execution_work import Order, execute
from flexcore_client.targets import parse_targets
from flexcore_client.transport import HttpTransport

from tests.doubles import dialects
from tests.doubles.fake_clock import FakeClock
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import HttpDouble, Reply, Routes, Seen, serving
from tests.doubles.socket_double import behaving, silent
from tests.doubles.virtual_time import LoopClock, run
from tests.unit.client.at_work import API, asked, at_work, busy, keeping, told

EXECUTIONS = f"{API}/executions"
BODY = {"operation": "reverse", "parameters": {"timeout_seconds": 30.0, "data": {"text": "abc"}}}
ORDER = Order("simple-processor", "reverse", {"text": "abc"})


def call(double: HttpDouble, method: str, *arguments: Any, clock: FakeClock | None = None, **more: Any) -> Any:
    return at_work(double, lambda client: getattr(ExecutionCalls(client), method)(*arguments), clock, **more)


def do(double: HttpDouble, order: Order, dry: bool = False, clock: FakeClock | None = None, **more: Any) -> Any:
    return at_work(double, lambda client: execute(client, order, dry=dry), clock, **more)


def changed(order: Order, done: bool = False) -> dict[str, Any]:
    about = {"plugin": order.plugin_id, "operation": order.operation}
    before, after = {**about, "executed": done}, {**about, "executed": True}
    return {"changed": not done, "diff": {"before": before, "after": after}}


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


@pytest.mark.parametrize(
    ("api", "path", "document"),
    [
        ("seed-2025", f"{API}/plugins/a%2Fb/execute", {"text": "abc"}),
        ("legacy-2025", "/plugins/a%2Fb/execute", {"text": "abc"}),
        (
            "gin-2025",
            "/api/v1/plugins/a%2Fb/execute",
            {"plugin_id": "a/b", "operation": "reverse", "params": {"text": "abc"}},
        ),
        ("s0-client", "/api/v1/plugins/a%2Fb/execute", {"text": "abc"}),
    ],
)
def test_other_generations_are_asked_in_their_own_way(api: str, path: str, document: Any) -> None:
    order = Order("a/b", "reverse", {"text": "abc"})
    with serving({f"POST {path}": Reply({"rows": 3})}) as double:
        assert do(double, order, api=api) == {
            **changed(order),
            "execution": {
                "execution_id": None,
                "status": "completed",
                "success": True,
                "result": {"success": True, "data": {"rows": 3}},
                "error": None,
            },
            "repeated": False,
        }
    assert asked(double) == [(f"POST {path}", {}, document)]


def test_the_default_operation_of_another_generation_has_an_empty_name() -> None:
    with serving({"POST /api/v1/plugins/p1/execute": Reply([1])}) as double:
        assert do(double, Order("p1"), api="gin-2025")["execution"]["result"] == {"success": True, "data": [1]}
    assert double.seen[0].json == {"plugin_id": "p1", "operation": "", "params": {}}


def test_a_plugin_of_another_generation_that_says_no_fails_unless_that_is_tolerated() -> None:
    said = {"success": False, "rows": 0}
    execution = {
        "execution_id": None,
        "status": "completed",
        "success": False,
        "result": {"success": False, "data": said},
        "error": None,
    }
    with serving({"POST /plugins/p1/execute": Reply(said)}) as double:
        with pytest.raises(ClientError) as caught:
            do(double, Order("p1"), api="legacy-2025")
        tolerated = do(double, Order("p1", tolerate_no_success=True), api="legacy-2025")
    assert told(caught.value) == {
        "kind": "api_error",
        "text": f"Executing the default operation of plugin p1 at {double.url}: "
        "the plugin says that it did not succeed: see result. Read the plugin's log on the server.",
        "phase": None,
        "http_status": None,
        "facts": {"execution": execution},
    }
    assert tolerated["execution"] == execution


@pytest.mark.parametrize(
    ("wait_seconds", "limit"), [(None, "14"), (3.0, "3")], ids=["the plugin's time and 10 s more", "as told"]
)
def test_another_generation_has_as_long_as_the_end_is_waited_for(wait_seconds: float | None, limit: str) -> None:
    order = Order("p1", timeout_seconds=4.0, wait_seconds=wait_seconds)

    async def work(url: str) -> None:
        target = parse_targets([{"url": url}], api="legacy-2025")[0]
        timeouts = Timeouts(connect=60.0, read=60.0, total=5.0)
        async with HttpTransport(target.address, timeouts=timeouts, clock=LoopClock()) as transport:
            await execute(FlexCoreClient(target, transport), order, dry=False)

    with behaving(silent) as double, pytest.raises(ClientError, match=f"no answer within {limit} s"):
        run(work(double.url()))


@pytest.mark.parametrize(
    ("more", "asked_for"),
    [({"key": "once"}, "key"), ({"wait": False}, "wait: false"), ({"key": "k", "wait": False}, "key")],
)
@pytest.mark.parametrize("dry", [False, True])
def test_other_generations_have_no_keys_and_no_queue(more: dict[str, Any], asked_for: str, dry: bool) -> None:
    with serving(dialects.legacy_2025()) as double, pytest.raises(ClientError) as caught:
        do(double, Order("p1", **more), dry, api="legacy-2025")
    assert caught.value.reason == f"this server (legacy-2025) does not offer executions with {asked_for}"
    assert (caught.value.kind.value, double.writes) == ("unsupported", [])


def test_check_mode_asks_another_generation_for_its_plugins_only() -> None:
    with serving(dialects.legacy_2025()) as double:
        predicted = do(double, Order("p1"), dry=True, api="legacy-2025")
    assert predicted == {**changed(Order("p1")), "execution": {}, "repeated": False}
    assert asked(double) == [("GET /plugins", {}, None)]


def test_our_own_generation_executes_by_its_queue_only() -> None:
    with serving({}) as double, pytest.raises(ClientError) as caught:
        call(double, "call_elsewhere", "p1", BODY, 1.0)
    assert caught.value.reason == "this server (flexcore-v1) does not offer executions of plugins"
    assert double.seen == []


@pytest.mark.parametrize("seconds", [1, 300])
def test_an_execution_has_between_a_second_and_five_minutes(seconds: float) -> None:
    state = FlexCoreDouble()
    with keeping(state) as double:
        do(double, Order("simple-processor", timeout_seconds=seconds))
    assert double.seen[0].json == {"operation": None, "parameters": {"timeout_seconds": seconds, "data": {}}}


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order("p1", timeout_seconds=0.99), "execution_timeout is 0.99: allowed are 1 to 300 seconds"),
        (Order("p1", timeout_seconds=300.5), "execution_timeout is 300.5: allowed are 1 to 300 seconds"),
        (Order("p1", key="-"), "key is '-': allowed are 1 to 128 letters"),
    ],
)
def test_a_wrong_order_is_refused_before_anybody_is_asked(order: Order, words: str) -> None:
    with serving({}) as double, pytest.raises(InputError, match=f"^{words}"):
        do(double, order)
    assert double.seen == []


SUCCESS = {"status": "completed", "success": True, "result": {"success": True, "data": {"done": True}}, "error": None}


@pytest.mark.parametrize("key", [None, "once"])
def test_an_execution_is_queued_waited_for_and_returned(key: str | None) -> None:
    state = FlexCoreDouble()
    order = replace(ORDER, key=key)
    with keeping(state) as double:
        result = do(double, order)
    execution_id = state.executions[0]["execution_id"]
    expected = {"execution_id": execution_id, **SUCCESS}
    assert result == {**changed(order), "execution": expected, "repeated": False}
    assert list(result["execution"]) == ["execution_id", "status", "success", "result", "error"]
    looked = [("GET", EXECUTIONS)] if key else []
    begun = [("POST", f"{API}/plugins/simple-processor/execute"), ("GET", f"{EXECUTIONS}/{execution_id}")]
    assert [(seen.method, seen.path) for seen in double.seen] == looked + begun
    metadata = {"metadata": {"correlation_id": key}} if key else {}
    assert double.seen[-2].json == {**BODY, **metadata}


@pytest.mark.parametrize("dry", [False, True])
def test_what_was_executed_under_a_key_is_returned_and_not_executed_again(dry: bool) -> None:
    state, order = FlexCoreDouble(), Order("simple-processor", "reverse", key="once")
    with keeping(state) as double:
        first = do(double, order)
        before = len(double.writes)
        again = do(double, order, dry)
    assert again == {**changed(order, done=True), "execution": first["execution"], "repeated": True}
    assert len(double.writes) == before


def test_check_mode_predicts_an_execution_of_a_plugin_that_is_there() -> None:
    order = Order("simple-processor", key="once")
    with keeping(FlexCoreDouble()) as double:
        predicted = do(double, order, dry=True)
    assert predicted == {**changed(order), "execution": {}, "repeated": False}
    assert double.writes == []


@pytest.mark.parametrize(
    ("plugin_id", "reason", "http_status"),
    [("nope", "there is no such plugin", 404), ("sleeper", "its status is inactive, not active", 409)],
)
def test_check_mode_tells_what_the_server_would_refuse(plugin_id: str, reason: str, http_status: int) -> None:
    with keeping(FlexCoreDouble()) as double, pytest.raises(ClientError) as caught:
        do(double, Order(plugin_id), dry=True)
    assert told(caught.value) == {
        "kind": "api_error",
        "text": f"Executing plugin {plugin_id} at {double.url}: {reason}. Install or enable it first.",
        "phase": None,
        "http_status": http_status,
        "facts": {},
    }


def test_a_plugin_that_tells_no_status_may_be_executed() -> None:
    with serving({f"{API}/plugins/p1": Reply({"id": "p1", "name": "P1"})}) as double:
        assert do(double, Order("p1"), dry=True)["changed"] is True


def under_way(seen: Seen) -> Reply:
    return Reply({"execution_id": "x1", "status": "running", "correlation_id": "once"})


UNDER_WAY: Routes = {
    f"{API}/plugins/p1": Reply({"id": "p1"}),
    f"POST {API}/plugins/p1/execute": Reply({"execution_id": "x1", "status": "queued"}, 202),
    f"{EXECUTIONS}/x1": under_way,
    EXECUTIONS: lambda seen: Reply({"executions": [under_way(seen).body]}),
}


@pytest.mark.parametrize(
    ("order", "dry", "repeated"),
    [
        (Order("p1", wait=False), False, False),
        (Order("p1", wait=False, key="once"), False, True),
        (Order("p1", key="once"), True, True),
    ],
    ids=["without waiting", "again without waiting", "check mode"],
)
def test_what_is_not_waited_for_is_returned_as_it_is(order: Order, dry: bool, repeated: bool) -> None:
    clock = FakeClock()
    with serving(UNDER_WAY) as double:
        result = do(double, order, dry, clock)
    shown = {"execution_id": "x1", "status": "running", "success": None, "result": None, "error": None}
    assert result == {**changed(order, done=repeated), "execution": shown, "repeated": repeated}
    assert clock.slept == []


@pytest.mark.parametrize(("wait_seconds", "waited"), [(None, "12"), (0.0, "0"), (0.4, "0.4")])
def test_the_end_is_waited_for_ten_seconds_longer_than_the_plugin_has_or_as_told(
    wait_seconds: float | None, waited: str
) -> None:
    with serving(UNDER_WAY) as double, pytest.raises(ClientError, match=f"it is still running after {waited} s"):
        do(double, Order("p1", timeout_seconds=2.0, wait_seconds=wait_seconds))


@pytest.mark.parametrize(
    ("outcome", "tolerant", "reason"),
    [
        ({"status": "failed", "error": "division by zero"}, True, "it ended as failed: division by zero"),
        ({"success": False, "error": "no text"}, False, "the plugin says that it did not succeed: no text"),
    ],
)
def test_an_execution_that_is_no_success_is_a_failure_that_shows_it(
    outcome: dict[str, Any], tolerant: bool, reason: str
) -> None:
    state = FlexCoreDouble()
    state.outcome.update(outcome)
    with keeping(state) as double, pytest.raises(ClientError) as caught:
        do(double, Order("simple-processor", "reverse", tolerate_no_success=tolerant))
    shown = {name: state.executions[0][name] for name in ("execution_id", "status", "success", "result", "error")}
    assert told(caught.value) == {
        "kind": "api_error",
        "text": f"Executing reverse of plugin simple-processor at {double.url}: {reason}. "
        "Read the plugin's log on the server.",
        "phase": None,
        "http_status": None,
        "facts": {"execution": shown},
    }


def test_a_plugin_that_says_no_may_be_tolerated() -> None:
    state = FlexCoreDouble()
    state.outcome.update({"success": False, "error": "no text"})
    with keeping(state) as double:
        result = do(double, Order("simple-processor", tolerate_no_success=True))
    assert (result["changed"], result["execution"]["error"]) == (True, "no text")
