"""What an event must be before the store sees it."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.domain.events import NewEvent, PluginEvent, RecordedEvent, check_new_event, recorded_event


def event(**changes: Any) -> NewEvent:
    return NewEvent(**{"type": "ThingHappened", "aggregate_id": "a", "aggregate_type": "Thing", **changes})


def test_event_names_are_those_of_the_contract() -> None:
    assert set(PluginEvent) == {
        "PluginRegistered",
        "PluginEnabled",
        "PluginDisabled",
        "PluginUpgraded",
        "PluginRemoved",
        "PluginExecutionQueued",
        "PluginExecutionStarted",
        "PluginExecutionCompleted",
        "PluginExecutionFailed",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aggregate_id": "x" * 255},
        {"aggregate_id": "any thing / ü"},
        {"expected_version": 0},
        {"type": "com.example.Thing-1_2"},
        {"data": {"nested": [{"text": "\0"}]}},
    ],
)
def test_good(changes: dict[str, Any]) -> None:
    check_new_event(event(**changes))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": ""}, "type"),
        ({"type": "1st"}, "type"),
        ({"type": "a b"}, "type"),
        ({"type": "a\n"}, "type"),
        ({"type": "x" * 129}, "type"),
        ({"aggregate_type": ""}, "aggregate_type"),
        ({"aggregate_id": ""}, "aggregate_id"),
        ({"aggregate_id": "x" * 256}, "aggregate_id"),
        ({"aggregate_id": "a\0"}, "aggregate_id"),
        ({"expected_version": -1}, "expected_version"),
    ],
)
def test_bad(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_new_event(event(**changes), prefix="events[3].")
    assert [error.field for error in caught.value.errors] == [f"events[3].{field}"]


def test_an_event_built_from_values_is_an_event_like_any_other() -> None:
    values = ("id", 1, "t", "a", "b", 2, {"x": 1}, {}, datetime(2025, 8, 1, tzinfo=UTC), "0" * 64)
    built = recorded_event(*values)
    assert built == RecordedEvent(*values)
    assert type(built) is RecordedEvent
    assert replace(built, version=3).version == 3
    with pytest.raises(FrozenInstanceError):
        built.version = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        recorded_event(*values[:-1])
