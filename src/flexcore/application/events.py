"""The event log's use cases: append facts, page through them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from flexcore.application import cursors
from flexcore.application.audit import StampedRecord
from flexcore.application.ports import (
    Append,
    Appended,
    EventPage,
    EventQuery,
    EventStore,
    FeedPoint,
    Job,
    NewId,
    Receipt,
)
from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.domain.events import NewEvent, RecordedEvent, check_new_event
from flexcore.domain.upcasting import UPCASTERS

__all__ = ["MAX_BATCH", "MAX_PAGE", "EventPage", "EventQuery", "Events", "NewEvent", "RecordedEvent"]

MAX_PAGE: Final = 1000
MAX_BATCH: Final = 1000
_FEED: Final = "events"


class Events:
    """Appends to and reads from the event log, with every input checked before the store sees it."""

    def __init__(self, store: EventStore, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id
        self._listeners: list[Callable[[Appended], None]] = []

    def listen(self, listener: Callable[[Appended], None]) -> None:
        """Call `listener` after every append of this node that recorded something; it must not raise."""
        self._listeners.append(listener)

    async def append(
        self,
        events: Sequence[NewEvent],
        *,
        jobs: Sequence[Job] = (),
        receipt: Receipt | None = None,
        audit: StampedRecord | None = None,
    ) -> Appended:
        """Record `events` in their order, `jobs` and `receipt`: all or none, once for each receipt.

        `audit` is kept with them; not if they are there already. At most 1000 events, and none only beside jobs or a
        receipt. Raises InvalidInput, VersionConflict when an `expected_version` is not met, Conflict when the receipt's
        key was used for another request, TooBusy, Unavailable.
        """
        if len(events) > MAX_BATCH or not (events or jobs or receipt):
            raise InvalidInput.field("events", f"must be 1 to {MAX_BATCH} events, not {len(events)}")
        for index, event in enumerate(events):
            check_new_event(event, prefix=f"events[{index}]." if len(events) > 1 else "")
        stamped = [(self._new_id(), UPCASTERS.stamp(event)) for event in events]
        appended = await self._store.append(Append(stamped, jobs, receipt, audit))
        if not appended.repeated:
            for listener in self._listeners:
                listener(appended)
        return appended

    async def page(self, query: EventQuery) -> EventPage:
        """Read the events matching `query` after its cursor, oldest first; raises InvalidInput, Unavailable.

        With a time in the query their order is that of their times. A page ends early when its events are large.
        """
        _check(query)
        after = _point(query.cursor) if query.cursor is not None else FeedPoint()
        by_time = query.from_timestamp is not None or query.to_timestamp is not None
        if query.cursor is not None and by_time is (after.timestamp is None):
            raise cursors.unknown()
        events, has_more = await self._store.read(query, after)
        next_cursor = _cursor(events[-1], by_time=by_time) if events else query.cursor
        return EventPage(tuple(events), next_cursor, has_more)

    async def stream(self, aggregate_type: str, aggregate_id: str, after_version: int = 0) -> list[RecordedEvent]:
        """Events of one aggregate, oldest first; raises Unavailable."""
        return await self._store.stream(aggregate_type, aggregate_id, after_version)

    async def head(self) -> int:
        """Return the last position, which is how many events the log holds; raises Unavailable."""
        return await self._store.head()


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
        raise InvalidInput.fields(errors)


def _cursor(event: RecordedEvent, *, by_time: bool) -> str:
    return cursors.encode(_FEED, f"{event.position}@{event.timestamp.isoformat()}" if by_time else event.position)


def _point(cursor: str) -> FeedPoint:
    position, _, timestamp = cursors.decode_text(_FEED, cursor).partition("@")
    try:
        moment = datetime.fromisoformat(timestamp) if timestamp else None
    except ValueError as error:
        raise cursors.unknown() from error
    if moment is not None and moment.tzinfo is None:
        raise cursors.unknown()
    return FeedPoint(cursors.position(position), moment)
