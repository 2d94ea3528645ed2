"""The event log's use cases: append facts, page through them."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flexcore.application.ports import EventPage, EventQuery, EventStore, NewId
from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.domain.events import NewEvent, RecordedEvent, check_new_event

__all__ = ["MAX_PAGE", "EventPage", "EventQuery", "Events", "NewEvent", "RecordedEvent"]

MAX_PAGE: Final = 1000
MAX_BATCH: Final = 1000
_CURSOR_PREFIX = b"events:"


class Events:
    """Appends to and reads from the event log, with every input checked before the store sees it."""

    def __init__(self, store: EventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    async def append(self, events: Sequence[NewEvent]) -> list[RecordedEvent]:
        """Record `events` (1 to 1000), all or none, in their order.

        Raises InvalidInput, VersionConflict when an `expected_version` is not met, Unavailable.
        """
        if not 1 <= len(events) <= MAX_BATCH:
            raise InvalidInput.field("events", f"must be 1 to {MAX_BATCH} events, not {len(events)}")
        for index, event in enumerate(events):
            check_new_event(event, prefix=f"events[{index}]." if len(events) > 1 else "")
        return await self._store.append([(self._new_id(), event) for event in events])

    async def page(self, query: EventQuery) -> EventPage:
        """Read the events matching `query` after its cursor, oldest first; raises InvalidInput, Unavailable."""
        _check(query)
        after = _position(query.cursor) if query.cursor is not None else 0
        found = await self._store.read(replace(query, limit=query.limit + 1), after)
        events = tuple(found[: query.limit])
        next_cursor = _cursor(events[-1].position) if events else query.cursor
        return EventPage(events, next_cursor, has_more=len(found) > query.limit)

    async def count(self) -> int:
        """How many events the log holds; raises Unavailable."""
        return await self._store.count()


def _check(query: EventQuery) -> None:
    errors = []
    if not 1 <= query.limit <= MAX_PAGE:
        errors.append(FieldError("limit", f"must be 1 to {MAX_PAGE}"))
    errors.extend(
        FieldError(name, "must carry a time zone, such as 2025-08-01T12:00:00Z")
        for name in ("from_timestamp", "to_timestamp")
        if (moment := getattr(query, name)) is not None and moment.tzinfo is None
    )
    errors.extend(
        FieldError(name, "must not contain the character NUL")
        for name in ("aggregate_id", "aggregate_type", "event_type")
        if "\0" in (getattr(query, name) or "")
    )
    if errors:
        raise InvalidInput("; ".join(f"{error.field} {error.message}" for error in errors), tuple(errors))


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(_CURSOR_PREFIX + str(position).encode()).decode().rstrip("=")


def _position(cursor: str) -> int:
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = int(decoded.removeprefix(_CURSOR_PREFIX))
    except (ValueError, binascii.Error) as error:
        raise _bad_cursor() from error
    if not decoded.startswith(_CURSOR_PREFIX) or not 0 <= position < 2**63:
        raise _bad_cursor()
    return position


def _bad_cursor() -> InvalidInput:
    return InvalidInput.field("cursor", "must be a next_cursor from an earlier answer, unchanged")
