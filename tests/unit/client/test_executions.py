"""A plugin is executed, once for each key, and what came of it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flexcore_client.errors import ClientError, InputError
from flexcore_client.execution_work import Order, execute

from tests.doubles.fake_clock import FakeClock
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import HttpDouble, Reply, Routes, Seen, serving
from tests.unit.client.asking import API, ask, keeping, told

EXECUTIONS = f"{API}/executions"
ORDER = Order("simple-processor", "reverse", {"text": "abc"})


def do(double: HttpDouble, order: Order, dry: bool = False, clock: FakeClock | None = None) -> Any:
    return ask(double, lambda client: execute(client, order, dry=dry), clock)


def changed(order: Order, done: bool = False) -> dict[str, Any]:
    about = {"plugin": order.plugin_id, "operation": order.operation}
    before, after = {**about, "executed": done}, {**about, "executed": True}
    return {"changed": not done, "diff": {"before": before, "after": after}}


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
    parameters = {"timeout_seconds": 30.0, "data": {"text": "abc"}}
    assert double.seen[-2].json == {"operation": "reverse", "parameters": parameters, **metadata}


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
