"""Events of older releases read in the newest shape of their data."""

from collections.abc import Mapping
from typing import Any

import pytest

from flexcore.domain.events import NewEvent
from flexcore.domain.upcasting import Upcasters
from tests.unit.read_models.histories import recorded


def in_milliseconds(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**{name: value for name, value in data.items() if name != "seconds"}, "ms": data["seconds"] * 1000}


def with_unit(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**data, "unit": "ms"}


@pytest.fixture
def upcasters() -> Upcasters:
    upcasters = Upcasters()
    upcasters.register("Timed", 1, in_milliseconds)
    upcasters.register("Timed", 2, with_unit)
    return upcasters


NEWEST = {"ms": 2000, "unit": "ms"}


@pytest.mark.parametrize(
    ("data", "metadata"),
    [
        ({"seconds": 2}, {}),
        ({"seconds": 2}, {"schema_version": 1}),
        ({"ms": 2000}, {"schema_version": 2}),
        (NEWEST, {"schema_version": 3}),
    ],
)
def test_every_older_version_reads_as_the_newest(
    upcasters: Upcasters, data: dict[str, Any], metadata: dict[str, Any]
) -> None:
    before = recorded(("Timed", data), metadata=metadata)
    (event,) = upcasters.upcast(before)
    assert (event.data, event.metadata) == (NEWEST, {"schema_version": 3})
    assert (before[0].data, before[0].metadata) == (data, metadata), "what was recorded stays as it was"
    assert (event.position, event.hash, event.timestamp) == (before[0].position, before[0].hash, before[0].timestamp)


@pytest.mark.parametrize("version", [4, 0, -1, "2", None, 2.0])
def test_a_version_that_this_release_can_not_know_stays_as_it_is(upcasters: Upcasters, version: Any) -> None:
    events = recorded(("Timed", {"other": 1}), metadata={"schema_version": version})
    assert upcasters.upcast(events) == events


def test_other_types_are_not_touched(upcasters: Upcasters) -> None:
    events = recorded(("Untimed", {"seconds": 2}))
    assert upcasters.upcast(events) == events
    assert Upcasters().upcast(events) is events


def test_new_events_say_which_version_they_are(upcasters: Upcasters) -> None:
    assert upcasters.stamp(NewEvent("Timed", "a", "Thing", NEWEST, {"user_id": "ann"})).metadata == {
        "user_id": "ann",
        "schema_version": 3,
    }
    untouched = NewEvent("Untimed", "a", "Thing")
    assert upcasters.stamp(untouched) is untouched


def test_steps_are_registered_without_gap_or_repeat(upcasters: Upcasters) -> None:
    for wrong in (1, 2, 4):
        with pytest.raises(ValueError, match="leads from version 3"):
            upcasters.register("Timed", wrong, with_unit)
    assert (upcasters.newest("Timed"), upcasters.newest("Untimed")) == (3, 1)
