"""Calls about plugins: what is asked, how often and how long, and whether a plugin answers."""

from __future__ import annotations

from typing import Any

import pytest
from flexcore_client.plugin_calls import PluginCalls

from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import Reply, serving
from tests.unit.client.asking import API, asked, busy, caller

PLUGIN = f"{API}/plugins/a%2Fb"
SOURCE = {"source": "marketplace", "id": "a/b", "version": "1.2.0"}

call = caller(PluginCalls)


@pytest.mark.parametrize(
    ("reply", "found"),
    [(Reply({"id": "a/b"}), {"id": "a/b"}), (Reply({"detail": "there is no plugin a/b"}, 404), None)],
)
def test_a_plugin_is_found_by_its_id(reply: Reply, found: Any) -> None:
    with serving({PLUGIN: reply}) as double:
        assert call(double, "find", "a/b") == found


def test_the_versions_on_offer_are_those_of_the_plugin_itself() -> None:
    entries = [
        {"id": "greeter-pro", "versions": [{"version": "9.0"}]},
        "rubbish",
        {"id": "greeter", "versions": [{"version": "1.1"}, "1.0", {"version": ""}, {"version": 3}, None]},
        {"id": "greeter", "versions": {"version": "7.0"}},
        {"id": "greeter"},
        {"id": "greeter", "versions": ["0.9"]},
    ]
    with serving({f"{API}/marketplace": Reply({"plugins": entries})}) as double:
        assert call(double, "offered", "greeter") == ["1.1", "1.0", "0.9"]
    assert double.seen[0].query == {"query": "greeter", "limit": "50", "offset": "0"}


@pytest.mark.parametrize(
    ("method", "arguments", "route"),
    [("install", (SOURCE,), f"POST {API}/plugins"), ("upgrade", ("a/b", SOURCE), f"PUT {PLUGIN}")],
)
def test_a_package_is_read_in_within_two_minutes_and_may_be_sent_again(
    method: str, arguments: tuple[Any, ...], route: str
) -> None:
    clock, replies = FakeClock(), iter([busy(119), Reply({"id": "a/b"}, 201)])
    with serving({route: lambda _seen: next(replies)}) as double:
        assert call(double, method, *arguments, clock=clock) == {"id": "a/b"}
    assert asked(double) == [(route, {}, SOURCE)] * 2
    assert clock.slept == [119]


@pytest.mark.parametrize(
    ("method", "arguments", "route", "query", "answer"),
    [
        ("remove", ("a/b", False), f"DELETE {PLUGIN}", {}, None),
        ("remove", ("a/b", True), f"DELETE {PLUGIN}", {"cascade": "true"}, None),
        ("switch", ("a/b", True), f"POST {PLUGIN}/enable", {}, {"id": "a/b"}),
        ("switch", ("a/b", False), f"POST {PLUGIN}/disable", {}, {"id": "a/b"}),
    ],
)
def test_a_plugin_is_removed_or_switched_though_the_server_is_asked_twice(
    method: str, arguments: tuple[Any, ...], route: str, query: dict[str, str], answer: Any
) -> None:
    replies = iter([busy(1), Reply("", 204) if answer is None else Reply(answer)])
    with serving({route: lambda _seen: next(replies)}) as double:
        assert call(double, method, *arguments) == answer
    assert asked(double) == [(route, query, None)] * 2


ACTIVE = {"id": "a/b", "status": "active", "version": "1.2.0"}
WELL = Reply({"result": {"success": True}})


@pytest.mark.parametrize(
    ("plugin", "version", "health", "trouble"),
    [
        (ACTIVE, "1.2.0", WELL, None),
        (ACTIVE, None, WELL, None),
        (ACTIVE, "1.2.0", Reply({"detail": "there is no such operation"}, 400), None),
        (None, "1.2.0", WELL, "it is not there"),
        ({**ACTIVE, "status": "error"}, "1.2.0", WELL, "its status is error"),
        (ACTIVE, "1.3.0", WELL, "its version is still 1.2.0"),
        (ACTIVE, "1.2.0", Reply({"result": {"success": False}}), "it says that it is not well"),
        (ACTIVE, "1.2.0", Reply({"result": {}}), "it says that it is not well"),
        (ACTIVE, "1.2.0", Reply({"result": "well"}), "it says that it is not well"),
        (ACTIVE, "1.2.0", Reply({"detail": "it crashed"}, 502), "answered 502: it crashed"),
    ],
)
def test_a_plugin_answers_when_it_is_active_and_well(
    plugin: Any, version: str | None, health: Reply, trouble: str | None
) -> None:
    found = Reply({"detail": "there is no plugin a/b"}, 404) if plugin is None else Reply(plugin)
    with serving({PLUGIN: found, f"POST {PLUGIN}/execute": health}) as double:
        assert call(double, "answers", "a/b", version) == trouble


def test_a_plugin_is_asked_for_its_health_and_once_more_where_the_server_is_busy() -> None:
    replies = iter([busy(1), WELL])
    with serving({PLUGIN: Reply(ACTIVE), f"POST {PLUGIN}/execute": lambda _seen: next(replies)}) as double:
        assert call(double, "answers", "a/b", None) is None
    assert asked(double)[1:] == [(f"POST {PLUGIN}/execute", {}, {"operation": "health"})] * 2
