"""Servers of other generations execute plugins too, each in its own way, and without keys and queue."""

from __future__ import annotations

from typing import Any

import pytest
from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError
from flexcore_client.exchange import Timeouts
from flexcore_client.execution_calls import ExecutionCalls
from flexcore_client.execution_work import Order, execute
from flexcore_client.targets import parse_targets
from flexcore_client.transport import HttpTransport

from tests.doubles import dialects
from tests.doubles.http_double import HttpDouble, Reply, serving
from tests.doubles.socket_double import behaving, silent
from tests.doubles.virtual_time import LoopClock, run
from tests.unit.client.asking import API, ask, asked, told


def do(double: HttpDouble, order: Order, api: str, dry: bool = False) -> Any:
    return ask(double, lambda client: execute(client, order, dry=dry), api=api)


def changed(order: Order) -> dict[str, Any]:
    about = {"plugin": order.plugin_id, "operation": order.operation}
    return {"changed": True, "diff": {"before": {**about, "executed": False}, "after": {**about, "executed": True}}}


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
            do(double, Order("p1"), "legacy-2025")
        tolerated = do(double, Order("p1", tolerate_no_success=True), "legacy-2025")
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
        do(double, Order("p1", **more), "legacy-2025", dry)
    assert caught.value.reason == f"this server (legacy-2025) does not offer executions with {asked_for}"
    assert (caught.value.kind.value, double.writes) == ("unsupported", [])


def test_check_mode_asks_another_generation_for_its_plugins_only() -> None:
    with serving(dialects.legacy_2025()) as double:
        predicted = do(double, Order("p1"), "legacy-2025", dry=True)
    assert predicted == {**changed(Order("p1")), "execution": {}, "repeated": False}
    assert asked(double) == [("GET /plugins", {}, None)]


def test_our_own_generation_executes_by_its_queue_only() -> None:
    with serving({}) as double, pytest.raises(ClientError) as caught:
        ask(double, lambda client: ExecutionCalls(client).call_elsewhere("p1", {}, 1.0))
    assert caught.value.reason == "this server (flexcore-v1) does not offer executions of plugins"
    assert double.seen == []
