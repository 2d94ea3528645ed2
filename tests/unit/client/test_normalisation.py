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
        ("2026-11-20T11:23:43+02:00", "2026-11-20T09:23:43.000Z"),
        (1_753_700_000, "2025-07-28T10:53:20.000Z"),
        (10**30, None),
        ("yesterday", None),
        (True, None),
    ],
)
def test_timestamps(value: Any, text: str | None) -> None:
    assert normalise.timestamp(value) == text


@given(st.text())
def test_printable_text_is_one_bounded_line(text: str) -> None:
    line = printable(text, limit=20)
    assert len(line) <= 20
    assert line.isprintable()
