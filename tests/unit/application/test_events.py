"""The event log's use cases."""

import base64
from datetime import datetime
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.ports import EventQuery
from flexcore.domain.errors import InvalidInput
from flexcore.domain.events import NewEvent
from tests.unit.application.doubles import Log

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def events(log: Log) -> Events:
    return Events(log, lambda: "id")


THING = NewEvent("ThingHappened", "a", "Thing")


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        ([], "events"),
        ([THING] * 1001, "events"),
        ([NewEvent("", "a", "Thing")], "type"),
        ([THING, NewEvent("X", "", "Thing")], "events[1].aggregate_id"),
    ],
)
async def test_a_bad_batch_is_refused_whole(events: Events, log: Log, batch: list[NewEvent], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await events.append(batch)
    assert [error.field for error in caught.value.errors] == [field]
    assert log.events == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"from_timestamp": datetime(2025, 8, 1)}, "from_timestamp"),
        ({"to_timestamp": datetime(2025, 8, 1)}, "to_timestamp"),
        ({"aggregate_id": "\0"}, "aggregate_id"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "!!!"}, "cursor"),
        ({"cursor": "ü"}, "cursor"),
        ({"cursor": base64.urlsafe_b64encode(b"7").decode()}, "cursor"),
        ({"cursor": base64.urlsafe_b64encode(b"events:-7").decode()}, "cursor"),
        ({"cursor": base64.urlsafe_b64encode(b"events:" + b"9" * 19).decode()}, "cursor"),
        ({"cursor": base64.urlsafe_b64encode(b"events:" + b"9" * 6000).decode()}, "cursor"),
    ],
)
async def test_a_bad_query_names_its_field(events: Events, query: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await events.page(EventQuery(**query))
    assert [error.field for error in caught.value.errors] == [field]


async def test_pages(events: Events) -> None:
    empty = await events.page(EventQuery())
    assert (empty.events, empty.next_cursor, empty.has_more) == ((), None, False)
    await events.append([THING] * 5)
    first = await events.page(EventQuery(limit=3))
    assert ([event.position for event in first.events], first.has_more) == ([1, 2, 3], True)
    second = await events.page(EventQuery(limit=3, cursor=first.next_cursor))
    assert ([event.position for event in second.events], second.has_more) == ([4, 5], False)
    third = await events.page(EventQuery(limit=3, cursor=second.next_cursor))
    assert (third.events, third.next_cursor, third.has_more) == ((), second.next_cursor, False)
