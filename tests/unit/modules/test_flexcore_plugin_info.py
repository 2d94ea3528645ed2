"""The module flexcore_plugin_info."""

from __future__ import annotations

from typing import Any

import pytest

from tests.doubles import dialects
from tests.doubles.http_double import Reply, serving
from tests.unit.modules.conftest import RunModule


def test_all_plugins(run_module: RunModule) -> None:
    with serving(dialects.flexcore_v1()) as double:
        result = run_module("flexcore_plugin_info", url=double.url, token="secret-secret")
    assert (len(result["plugins"]), result["dialect"], result["changed"]) == (120, "flexcore-v1", False)
    assert {seen.method for seen in double.seen} == {"GET"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"id": "plugin-007"}, ["plugin-007"]),
        ({"id": "plugin-007", "status": "error"}, []),
        ({"id": "plugin-007", "type": "processor", "status": "active"}, ["plugin-007"]),
        ({"id": "nope"}, []),
        ({"type": "source"}, []),
    ],
)
def test_filters(run_module: RunModule, wanted: dict[str, Any], found: list[str]) -> None:
    with serving(dialects.flexcore_v1()) as double:
        result = run_module("flexcore_plugin_info", url=double.url, **wanted)
    assert [plugin["id"] for plugin in result["plugins"]] == found


@pytest.mark.parametrize(
    ("routes", "failure", "words"),
    [
        (dialects.gin_2025_first_build(), "unsupported", "does not offer plugins"),
        ({"/health": Reply({"detail": "who are you"}, 401)}, "http_status", "the token is missing"),
        ({"/health": Reply("<html>")}, "bad_body", "not JSON"),
    ],
)
def test_failures_say_their_kind(run_module: RunModule, routes: Any, failure: str, words: str) -> None:
    with serving(routes) as double:
        result = run_module("flexcore_plugin_info", url=double.url)
    assert (result["failed"], result["failure"]) == (True, failure)
    assert words in result["msg"]


@pytest.mark.parametrize(
    ("arguments", "words"), [({}, "url is missing"), ({"url": "redis://127.0.0.1"}, "asked over http:// or https://")]
)
def test_wrong_arguments(run_module: RunModule, arguments: dict[str, str], words: str) -> None:
    assert words in run_module("flexcore_plugin_info", **arguments)["msg"]
