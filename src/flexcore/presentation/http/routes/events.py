"""The event log: read it, append to it."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from flexcore.application.events import MAX_BATCH, MAX_PAGE, EventPage, EventQuery, Events
from flexcore.application.ports import Appended
from flexcore.domain.errors import InvalidInput
from flexcore.domain.events import OWN_AGGREGATES, TYPE_NAME, NewEvent, RecordedEvent
from flexcore.domain.json_object import JsonObject
from flexcore.presentation.http.idempotency import receipt
from flexcore.presentation.http.operations import Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.parameters import Cursor, Moment
from flexcore.presentation.http.validation import in_utc

# As far as every JSON reader counts exactly, and far beyond any stream.
MAX_VERSION: Final = (1 << 53) - 1

# Nobody here looks into an event's data, and reading a large one holds up every other request.
MAX_DATA_BYTES: Final = 1024 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024

_EMPTY: Final = msgspec.Raw(b"{}")
# Checked by the domain, which says it better; here only the document says it.
_TypeName = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": TYPE_NAME})]
_AnObject = Meta(extra_json_schema={"type": "object"})
_EVENTS = "/api/v1/flexcore/events"
_Name = Annotated[str, Meta(max_length=255)]


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET events."""

    aggregate_id: Annotated[_Name | None, Meta(description="Only events of this aggregate")] = None
    aggregate_type: Annotated[_Name | None, Meta(description="Only events of aggregates of this type")] = None
    event_type: Annotated[_Name | None, Meta(description="Only events of this type")] = None
    from_timestamp: Annotated[Moment | None, Meta(description="Only events from then on, RFC 3339")] = None
    to_timestamp: Annotated[Moment | None, Meta(description="Only events before then, RFC 3339")] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Events a page")] = 100
    cursor: Annotated[Cursor | None, Meta(description="next_cursor of an earlier answer")] = None


class EventBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A fact to record; `expected_version` is the version its aggregate must have just before, 0 for a new one."""

    type: _TypeName
    aggregate_id: Annotated[str, Meta(min_length=1, max_length=255)]
    aggregate_type: _TypeName
    data: Annotated[msgspec.Raw, _AnObject] = msgspec.field(default_factory=lambda: _EMPTY)
    metadata: Annotated[msgspec.Raw, _AnObject] = msgspec.field(default_factory=lambda: _EMPTY)
    expected_version: Annotated[int, Meta(ge=0, le=MAX_VERSION)] | None = None


class EventBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts to record in this order, all or none."""

    events: Annotated[list[EventBody], Meta(min_length=1, max_length=MAX_BATCH)]


class Recorded(Struct, frozen=True):
    """Where an event ended up."""

    id: str
    position: int
    version: int


class RecordedBatch(Struct, frozen=True):
    """Where the events ended up, in their order."""

    events: list[Recorded]


class EventRoutes:
    """/api/v1/flexcore/events."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=_EVENTS,
                name="listEvents",
                summary="Events in the order they were recorded",
                tag="events",
                handler=self._list,
                query=EventsQuery,
                answers={200: Content(EventPage, "One page of events")},
                problems=(429, 503),
            ),
            Operation(
                method="POST",
                path=_EVENTS,
                name="appendEvent",
                summary="Record one event",
                tag="events",
                handler=self._append,
                body=EventBody,
                idempotent=True,
                answers={201: Content(Recorded, "Recorded")},
                problems=(409, 429, 503),
            ),
            Operation(
                method="POST",
                path=_EVENTS + "/batch",
                name="appendEvents",
                summary="Record events, all or none",
                tag="events",
                handler=self._append_batch,
                body=EventBatch,
                idempotent=True,
                answers={201: Content(RecordedBatch, "Recorded")},
                problems=(409, 429, 503),
            ),
        )

    async def _list(self, call: Call[EventsQuery, None]) -> Answer:
        query = call.query
        found = await self._events.page(
            EventQuery(
                aggregate_id=query.aggregate_id,
                aggregate_type=query.aggregate_type,
                event_type=query.event_type,
                from_timestamp=in_utc("from_timestamp", query.from_timestamp),
                to_timestamp=in_utc("to_timestamp", query.to_timestamp),
                limit=query.limit,
                cursor=query.cursor,
            )
        )
        return Answer(found)

    async def _append(self, call: Call[NoParameters, EventBody]) -> Answer:
        event = _new_event(call.body, call.correlation_id, prefix="")
        appended = await self._append_all([event], call, "appendEvent")
        return Answer(_recorded(appended.events[0]), 201, recorded=not appended.repeated)

    async def _append_batch(self, call: Call[NoParameters, EventBatch]) -> Answer:
        events = [
            _new_event(body, call.correlation_id, prefix=f"events[{index}].")
            for index, body in enumerate(call.body.events)
        ]
        appended = await self._append_all(events, call, "appendEvents")
        batch = RecordedBatch([_recorded(event) for event in appended.events])
        return Answer(batch, 201, recorded=not appended.repeated)

    async def _append_all(self, events: list[NewEvent], call: Call[Any, Any], operation: str) -> Appended:
        """Record events, in one transaction with who sent them: a second one would halve the rate."""
        record = None if call.record is None else call.record()
        return await self._events.append(events, receipt=receipt(operation, call), audit=record)


def _new_event(body: EventBody, correlation_id: str, prefix: str) -> NewEvent:
    if body.aggregate_type in OWN_AGGREGATES:
        message = f"must be none of {', '.join(sorted(OWN_AGGREGATES))}: FlexCore alone records those"
        raise InvalidInput.field(f"{prefix}aggregate_type", message)
    metadata = msgspec.json.decode(_text(f"{prefix}metadata", body.metadata, MAX_METADATA_BYTES))
    return NewEvent(
        type=body.type,
        aggregate_id=body.aggregate_id,
        aggregate_type=body.aggregate_type,
        data=JsonObject(_text(f"{prefix}data", body.data, MAX_DATA_BYTES)),
        metadata={"correlation_id": correlation_id, **metadata},
        expected_version=body.expected_version,
    )


def _text(field: str, raw: msgspec.Raw, max_bytes: int) -> str:
    """Check that `raw` is an object of a bearable size, and return it without white space."""
    content = bytes(raw)
    if not content.startswith(b"{"):
        raise InvalidInput.field(field, "expected object")
    if len(content) > max_bytes:
        raise InvalidInput.field(field, f"must be at most {max_bytes} bytes of JSON, not {len(content)}")
    try:
        return msgspec.json.format(content, indent=-1).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput.field(field, "must be UTF-8") from error


def _recorded(event: RecordedEvent) -> Recorded:
    return Recorded(event.id, event.position, event.version)
