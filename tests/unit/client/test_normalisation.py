"""Normalisation takes anything that JSON can hold."""

from __future__ import annotations

from typing import Any

import pytest
from flexcore_client import normalise
from flexcore_client.health import judge
from flexcore_client.models import HealthStatus
from flexcore_client.text import printable
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("id", "name", "status", "components", "version", "uptime", "plugins", "detail", "error", "details", "level")
DOCUMENT = JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5)


@given(DOCUMENT)
def test_nothing_raises(document: Any) -> None:
    normalise.health_status(document)
    normalise.uptime_seconds(document)
    normalise.items_of(document, "plugins")
    normalise.error_text(document)
    normalise.plugin(document)
    normalise.log_record(document)
    normalise.timestamp(document)
    if isinstance(document, dict):
        normalise.components(document)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
def test_without_a_known_dialect_nothing_is_healthy(claims: dict[str, Any]) -> None:
    assert judge(200, claims, None, "no evidence").status in (HealthStatus.UNKNOWN, HealthStatus.UNHEALTHY)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("healthy", "ok", "up", "pass", "HEALTHY", "Ok"), "HEALTHY"),
        (("degraded", "warn"), "DEGRADED"),
        (("unhealthy", "down", "fail", "error"), "UNHEALTHY"),
        (("", "fine", "health", None, 1, True, [], {}), "UNKNOWN"),
    ],
)
def test_status_words(words: tuple[Any, ...], status: str) -> None:
    assert {normalise.health_status(word).value for word in words} == {status}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (59.9, 59),
        ("5m30s", 330),
        ("3.110478598s", 3),
        ("100h", 360_000),
        (999_999_999, 999_999_999),
        (1_000_000_000, None),
        (1_753_700_000, None),
        (-1, None),
        (True, None),
        (float("nan"), None),
        ("", None),
        ("soon", None),
        ("2026-11-20T11:23:43Z", None),
        (None, None),
    ],
)
def test_uptime(value: Any, seconds: int | None) -> None:
    assert normalise.uptime_seconds(value) == seconds


@pytest.mark.parametrize(
    ("document", "items"),
    [
        ([1], [1]),
        ({"plugins": [1]}, [1]),
        ({"plugins": None}, []),
        ({}, None),
        (None, None),
        ({"plugins": {}}, None),
        ("plugins", None),
    ],
)
def test_lists(document: Any, items: list[Any] | None) -> None:
    assert normalise.items_of(document, "plugins") == items


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"detail": "a", "error": "b"}, "a"),
        ({"error": "b", "details": "c"}, "b: c"),
        ({"error": "b", "details": {"x": 1}}, "b"),
        ({"message": "d"}, "d"),
        ({"detail": ""}, None),
        (["detail"], None),
    ],
)
def test_error_text(document: Any, text: str | None) -> None:
    assert normalise.error_text(document) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-11-20T11:23:43.919236893Z", "2026-11-20T11:23:43.919Z"),
        ("2026-11-20T11:23:43.9z", "2026-11-20T11:23:43.900Z"),
        ("2026-11-20T11:23:43", "2026-11-20T11:23:43.000Z"),
        ("2026-11-20T11:23:43+02:00", "2026-11-20T09:23:43.000Z"),
        (1_753_700_000, "2025-07-28T10:53:20.000Z"),
        (10**30, None),
        ("yesterday", None),
        (True, None),
    ],
)
def test_timestamps(value: Any, text: str | None) -> None:
    assert normalise.timestamp(value) == text


@pytest.mark.parametrize(("elapsed", "kept"), [(3, 3), (0.5, 0.5), ("3 ms", None), (None, None), ([], None)])
def test_a_component_keeps_the_time_it_took_when_that_is_a_number(elapsed: Any, kept: float | None) -> None:
    found = normalise.components({"components": {"n" * 70: {"status": "ok", "response_time_ms": elapsed}}})
    assert found == {"n" * 63 + "…": {"status": "HEALTHY", "message": None, "version": None, "response_time_ms": kept}}


@pytest.mark.parametrize("dependencies", [["a", "b"], {"a": ">=1", "b": "*"}])
def test_a_plugin_that_calls_its_id_plugin_id(dependencies: Any) -> None:
    found = normalise.plugin({"plugin_id": "p1", "name": "P", "dependencies": dependencies, "owner": "o"})
    assert found is not None
    assert (found.id, found.name, found.dependencies, found.details) == ("p1", "P", ["a", "b"], {"owner": "o"})


@pytest.mark.parametrize(
    "document",
    [
        {"timestamp": 1_753_700_000, "level": "WARN", "message": "said", "component": "jobs"},
        {"time": 1_753_700_000, "severity": "warning", "msg": "said", "logger": "jobs"},
        {"ts": 1_753_700_000, "level": "", "severity": "warn", "event": "said", "component": None, "logger": "jobs"},
        {"time": "2025-07-28T10:53:20Z", "level": "warn", "message": "", "msg": "said", "fields": {"logger": "jobs"}},
    ],
)
def test_a_log_record_in_the_words_of_several_loggers(document: dict[str, Any]) -> None:
    found = normalise.log_record(document)
    assert (found.timestamp, found.level, found.message) == ("2025-07-28T10:53:20.000Z", "warning", "said")
    assert (found.component, found.fields) == ("jobs", {})


def test_a_line_that_is_only_text_is_the_message() -> None:
    assert normalise.log_record("  said \n").message == "  said "
    assert normalise.log_record({}).message == ""


@given(st.text())
def test_printable_text_is_one_bounded_line(text: str) -> None:
    line = printable(text, limit=20)
    assert len(line) <= 20
    assert line.isprintable()
