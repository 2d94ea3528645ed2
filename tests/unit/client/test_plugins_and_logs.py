"""Plugins and logs have one form, whichever dialect gives them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.log_query import LogQuery, log_query
from flexcore_client.targets import parse_targets
from flexcore_client.transport import HttpTransport

from tests.doubles import dialects
from tests.doubles.http_double import Reply, Routes, serving
from tests.unit.client import asking

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def ask(routes: Routes, method: str, *arguments: Any, api: str = "auto") -> Any:
    with serving(routes) as double:
        return asking.ask(double, lambda client: getattr(client, method)(*arguments), api=api)


@pytest.mark.parametrize(
    ("routes", "first", "count"),
    [
        (dialects.flexcore_v1(), ("plugin-000", "Plugin-000", "1.0.0", "processor", "active"), 120),
        (dialects.seed_2025(), ("flext-proxy-adapter", "flext-proxy-adapter", "2.0.0", None, "loaded"), 1),
        (dialects.legacy_2025(), ("p1", "P1", "1", None, None), 1),
        (dialects.gin_2025(), ("tap-1", "Tap", "0.2", "source", None), 1),
        (dialects.s0_client(), ("p1", "p1", "1.0", None, "active"), 1),
    ],
)
def test_plugins_of_each_dialect(routes: Routes, first: tuple[str | None, ...], count: int) -> None:
    plugins = ask(routes, "plugins")
    one = plugins[0]
    assert (one.id, one.name, one.version, one.type, one.status) == first
    assert len(plugins) == count


def test_a_plugin_in_full() -> None:
    plugin = ask(dialects.flexcore_v1(), "plugin", "plugin-007")
    assert plugin.to_dict() == {
        "id": "plugin-007",
        "name": "Plugin-007",
        "version": "1.0.0",
        "type": "processor",
        "status": "active",
        "description": "does something",
        "dependencies": [],
        "capabilities": ["transform"],
        "entry_point": "run",
        "details": {"health_status": "healthy", "execution_count": 12},
    }


@pytest.mark.parametrize("routes", [dialects.flexcore_v1(), dialects.seed_2025(), dialects.s0_client()])
def test_a_plugin_that_does_not_exist(routes: Routes) -> None:
    assert ask(routes, "plugin", "nope") is None


def test_a_list_that_is_null_is_empty() -> None:
    routes = {**dialects.seed_2025(), "/api/v1/flexcore/plugins": Reply({"plugins": None, "count": 0})}
    assert ask(routes, "plugins") == []


@pytest.mark.parametrize("body", [{"plugins": "many"}, {"items": []}, "null", 7, {"plugins": {"a": 1}}])
def test_a_list_that_is_none_is_a_bad_body(body: Any) -> None:
    routes = {**dialects.seed_2025(), "/api/v1/flexcore/plugins": Reply(body)}
    with pytest.raises(ClientError) as caught:
        ask(routes, "plugins")
    assert caught.value.kind is FailureKind.BAD_BODY


def test_entries_that_are_no_plugins_are_left_out() -> None:
    entries = [None, 3, "x", {}, {"name": None}, {"name": "a", "version": 3, "dependencies": "b", "capabilities": [1]}]
    plugins = ask({**dialects.seed_2025(), "/api/v1/flexcore/plugins": Reply({"plugins": entries})}, "plugins")
    assert [(p.id, p.version, p.dependencies, p.capabilities) for p in plugins] == [("a", None, [], ["1"])]


def test_what_a_build_does_not_have_is_unsupported() -> None:
    with pytest.raises(ClientError, match=r"gin-2025\) does not offer plugins") as caught:
        ask(dialects.gin_2025_first_build(), "plugins")
    assert caught.value.kind is FailureKind.UNSUPPORTED


def test_an_unknown_api_is_unsupported() -> None:
    with pytest.raises(ClientError, match="no FlexCore API that the client knows") as caught:
        ask({"/health": Reply({"status": "healthy"})}, "plugins")
    assert caught.value.kind is FailureKind.UNSUPPORTED


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"detail": "not you", "status": 401}, 401), "http_status", "the token is missing or not accepted"),
        (Reply({"detail": "no"}, 403), "http_status", "the token does not allow this"),
        (Reply("", 307, {"Location": "http://elsewhere/"}), "http_status", "a redirect"),
        (Reply({"detail": "limit is 1 to 200"}, 400), "api_error", "answered 400: limit is 1 to 200"),
        (Reply({"error": "boom", "details": "why"}, 500), "api_error", "answered 500: boom: why"),
        (Reply({"message": "gone"}, 410), "api_error", "answered 410: gone"),
        (Reply("<h1>oops</h1>", 500), "http_status", "answered 500: <h1>oops</h1>"),
        (Reply("<h1>hello</h1>"), "bad_body", "not JSON"),
    ],
)
def test_errors_are_told_in_the_servers_words(reply: Reply, kind: str, words: str) -> None:
    with pytest.raises(ClientError) as caught:
        ask({"/api/v1/flexcore/plugins": reply}, "plugins", api="flexcore-v1")
    assert caught.value.kind.value == kind
    assert words in caught.value.reason


def test_logs_of_our_own_server() -> None:
    records = ask(dialects.flexcore_v1(), "logs", LogQuery(lines=3))
    assert [record.message for record in records] == ["record 1", "record 2", "record 3"]
    assert records[0].to_dict() == {
        "timestamp": "2026-11-20T11:23:01.123Z",
        "level": "error",
        "message": "record 1",
        "component": "postgres",
        "correlation_id": None,
        "node_id": "core1",
        "fields": {"attempt": 1},
    }


def test_the_query_is_passed_on() -> None:
    with serving(dialects.flexcore_v1()) as double:

        async def run() -> None:
            target = parse_targets([{"url": double.url}])[0]
            async with HttpTransport(target.address) as transport:
                await FlexCoreClient(target, transport).logs(log_query(5, "error", "15m", NOW))

        asyncio.run(run())
    assert double.seen[0].query == {"lines": "5", "level": "error", "since": "2026-11-20T11:45:00.000Z"}


def test_logs_of_the_client_guide_are_lines() -> None:
    records = ask(dialects.s0_client(), "logs", LogQuery(lines=2, level="error"))
    assert [(record.message, record.level) for record in records] == [("line 0", None), ("line 1", None)]


def test_a_server_that_gives_more_than_asked_is_cut_to_the_newest() -> None:
    routes = {**dialects.s0_client(), "/api/v1/logs": Reply({"logs": ["old", "newer", "newest"]})}
    assert [record.message for record in ask(routes, "logs", LogQuery(lines=2))] == ["newer", "newest"]


def test_a_server_without_logs_is_unsupported() -> None:
    with pytest.raises(ClientError, match="does not offer its logs") as caught:
        ask(dialects.seed_2025(), "logs", LogQuery())
    assert caught.value.kind is FailureKind.UNSUPPORTED


@pytest.mark.parametrize(
    ("since", "moment"),
    [
        ("30s", datetime(2026, 11, 20, 11, 59, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 19, 12, tzinfo=UTC)),
        ("2026-11-20T11:00:00Z", datetime(2026, 11, 20, 11, tzinfo=UTC)),
        ("2026-11-20T12:00:00.123456789+01:00", datetime(2026, 11, 20, 11, 0, 0, 123456, tzinfo=UTC)),
        ("2026-11-20T11:00:00", datetime(2026, 11, 20, 11, tzinfo=UTC)),
    ],
)
def test_since(since: str, moment: datetime) -> None:
    assert log_query(1, None, since, NOW).since == moment
