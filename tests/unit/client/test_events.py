"""Events: read page by page and no further than wanted, verified, and recorded once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from flexcore_client.errors import ClientError, FailureKind, InputError
from flexcore_client.event_calls import EventCalls
from flexcore_client.event_work import read_events, record, wanted_events

from tests.doubles.flexcore_double import API, FlexCoreDouble
from tests.doubles.http_double import HttpDouble, Reply, serving
from tests.unit.client.asking import ask

EVENTS = f"{API}/events"
EVENT = {
    "type": "Deployed",
    "aggregate_type": "Application",
    "aggregate_id": "shop",
    "data": {"release": 2},
    "metadata": {"by": "me"},
}
ABOUT = {name: EVENT[name] for name in ("type", "aggregate_type", "aggregate_id", "data")}


def with_events(*numbers: int, kind: str = "Deployed", key: str | None = None) -> FlexCoreDouble:
    """A server with an event of the shop for each of ``numbers``, which is its data."""
    served = FlexCoreDouble()
    for number in numbers:
        served._record(kind, "Application", "shop", {"release": number}, {"correlation_id": key})
    return served


def read(double: HttpDouble, limit: int, **wanted: str) -> dict[str, Any]:
    return ask(double, lambda client: read_events(client, wanted, limit, None))


def test_all_pages_are_read_in_their_order() -> None:
    with serving(with_events(1, 2, 3, 4, 5)) as double:  # type: ignore[arg-type]  # it is asked with get() only
        found = read(double, 100, aggregate_id="shop")
        asked = [seen.query for seen in double.seen]
    assert ([event["data"]["release"] for event in found["events"]], found["truncated"]) == ([1, 2, 3, 4, 5], False)
    assert asked == [
        {"aggregate_id": "shop", "limit": "101"},
        {"aggregate_id": "shop", "limit": "101", "cursor": "2"},
        {"aggregate_id": "shop", "limit": "101", "cursor": "4"},
    ]


@pytest.mark.parametrize(
    ("limit", "asked", "found", "truncated"),
    [
        (0, [], [], False),
        (1, ["2"], [1], True),
        (2, ["3", "3"], [1, 2], True),
        (3, ["4", "4"], [1, 2, 3], False),
        (4, ["5", "5"], [1, 2, 3], False),
        (5000, ["1000", "1000"], [1, 2, 3], False),
    ],
)
def test_no_more_is_asked_for_than_is_wanted(limit: int, asked: list[str], found: list[int], truncated: bool) -> None:
    with serving(with_events(1, 2, 3)) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = read(double, limit)
        assert [seen.query["limit"] for seen in double.seen] == asked
    assert [event["data"]["release"] for event in result["events"]] == found
    assert result["truncated"] is truncated
    assert "verification" not in result


@pytest.mark.parametrize(
    "answer",
    [
        [{"id": "a"}, None, "no event"],
        {"events": [{"id": "a"}]},
        {"events": [{"id": "a"}], "has_more": False, "next_cursor": "7"},
        {"events": [{"id": "a"}], "has_more": True, "next_cursor": None},
    ],
    ids=["a bare list", "no word of more", "no more", "more, and no way to it"],
)
def test_reading_ends_where_the_server_leads_no_further(answer: Any) -> None:
    with serving({EVENTS: Reply(answer)}) as double:
        assert read(double, 10) == {"events": [{"id": "a"}], "truncated": False}
        assert len(double.seen) == 1


@pytest.mark.parametrize(
    ("first", "last", "query"),
    [
        (None, None, {}),
        (1, None, {"from": "1"}),
        (None, 9, {"to": "9"}),
        (0, 9, {"from": "0", "to": "9"}),
    ],
)
def test_a_verification_is_of_the_positions_asked_for(
    first: int | None, last: int | None, query: dict[str, str]
) -> None:
    with serving({f"{EVENTS}/verify": Reply({"verified": True})}) as double:
        result = ask(double, lambda client: read_events(client, {}, 0, (first, last)))
        assert [(seen.path, seen.query) for seen in double.seen] == [(f"{EVENTS}/verify", query)]
    assert result == {"events": [], "truncated": False, "verification": {"verified": True}}


def test_filters_become_what_the_server_knows() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    given = {"event_type": "Deployed", "aggregate_id": None, "since": "15m", "until": "2026-11-20T12:30:00+01:00"}
    assert wanted_events(given, now) == {
        "event_type": "Deployed",
        "from_timestamp": "2026-11-20T11:45:00.000Z",
        "to_timestamp": "2026-11-20T11:30:00.000Z",
    }
    with pytest.raises(InputError, match=r"^until is 'noon': "):
        wanted_events({"until": "noon"}, now)


def test_an_event_is_recorded_as_given_and_once_however_often_it_is_asked_for() -> None:
    replies = iter([Reply("", 503), Reply({"id": "e1", "position": 7, "version": 3, "hash": "0"}, 201)])
    with serving({f"POST {EVENTS}": lambda _seen: next(replies)}) as double:
        result = ask(double, lambda client: record(client, EVENT, None, dry=False))
        first, again = double.seen
    assert (first.json, first.headers["idempotency-key"]) == (EVENT, again.headers["idempotency-key"])
    assert result == {
        "changed": True,
        "diff": {"before": {}, "after": ABOUT},
        "event": {"id": "e1", "position": 7, "version": 3},
    }


def test_events_without_a_key_are_told_apart_by_keys_of_their_own() -> None:
    with serving(FlexCoreDouble()) as double:  # type: ignore[arg-type]  # it is asked with get() only
        for _ in range(2):
            ask(double, lambda client: record(client, EVENT, None, dry=False))
        keys = {uuid.UUID(seen.headers["idempotency-key"]) for seen in double.seen}
    assert len(keys) == 2


def test_an_event_that_would_be_recorded_has_no_place_yet() -> None:
    with serving(with_events(1)) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = ask(double, lambda client: record(client, EVENT, "shop-2", dry=True))
        assert [seen.query for seen in double.seen] == [
            {"aggregate_id": "shop", "aggregate_type": "Application", "limit": "1000"}
        ]
    assert result == {"changed": True, "diff": {"before": {}, "after": ABOUT}, "event": {}}


@pytest.mark.parametrize("dry", [True, False])
def test_an_event_that_was_recorded_under_its_key_is_returned(dry: bool) -> None:
    served = with_events(1, 2, key="other")
    there = served._record("Deployed", "Application", "shop", {"release": 2}, {"correlation_id": "shop-2"})
    served.events[0]["metadata"] = None
    with serving(served) as double:  # type: ignore[arg-type]  # it is asked with get() only
        result = ask(double, lambda client: record(client, EVENT, "shop-2", dry=dry))
        assert double.writes == []
    assert result == {
        "changed": False,
        "diff": {"before": ABOUT, "after": ABOUT},
        "event": {"id": there["id"], "position": 3, "version": 3},
    }


@pytest.mark.parametrize(
    ("there", "expected", "found"),
    [
        ([], 0, None),
        ([1], 1, None),
        ([1, 2], 1, 2),
        ([2, 2, 2], 1, 2),
        ([1, 2, 3], 1, 2),
    ],
    ids=["a new aggregate", "its turn", "recorded before", "the like of it around it", "and others since"],
)
def test_an_event_is_known_by_the_version_that_it_was_to_become(
    there: list[int], expected: int, found: int | None
) -> None:
    with serving(with_events(*there)) as double:  # type: ignore[arg-type]  # it is asked with get() only
        event = {**EVENT, "expected_version": expected}
        known = ask(double, lambda client: EventCalls(client).recorded(event, None))
    assert (known and known["version"]) == found


@pytest.mark.parametrize(
    ("there", "about", "expected", "key", "version"),
    [
        ([], {}, 1, None, 0),
        ([1], {}, 0, None, 1),
        ([2], {"kind": "Removed"}, 0, None, 1),
        ([1, 2], {}, 0, None, 2),
        ([2], {"key": "other"}, 0, "shop-2", 1),
    ],
    ids=["nothing yet", "other data", "another type", "one that came later", "another key"],
)
def test_an_event_that_comes_too_late_or_too_early(
    there: list[int], about: dict[str, str], expected: int, key: str | None, version: int
) -> None:
    with serving(with_events(*there, **about)) as double:  # type: ignore[arg-type]  # it is asked with get() only
        with pytest.raises(ClientError) as caught:
            ask(double, lambda client: record(client, {**EVENT, "expected_version": expected}, key, dry=False))
        assert double.writes == []
        assert str(caught.value) == (
            f"Recording Deployed at {double.url}: Application shop is at version {version}, not at {expected}. "
            "Look at what was recorded since, then expect the present version."
        )
    assert (caught.value.kind, caught.value.http_status) == (FailureKind.API_ERROR, 409)


def test_an_event_that_has_no_version_rules_nothing_out() -> None:
    with serving({EVENTS: Reply({"events": [{"type": "Removed", "data": {}}]})}) as double:
        event = {**EVENT, "expected_version": 0}
        assert ask(double, lambda client: EventCalls(client).recorded(event, None)) is None


def test_with_neither_key_nor_version_nothing_is_looked_for() -> None:
    with serving(with_events(2)) as double:  # type: ignore[arg-type]  # it is asked with get() only
        assert ask(double, lambda client: EventCalls(client).recorded(EVENT, None)) is None
        assert double.seen == []
