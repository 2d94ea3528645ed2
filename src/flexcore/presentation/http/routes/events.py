"""The event log: read it, append to it."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from flexcore.application.events import MAX_PAGE, EventPage, EventQuery, Events
from flexcore.presentation.http.operations import Answer, Call, Content, Operation

_EVENTS = "/api/v1/flexcore/events"
_Name = Annotated[str, Meta(max_length=255)]
_Moment = Annotated[datetime, Meta(tz=True)]
_Cursor = Annotated[str, Meta(max_length=128)]


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET events."""

    aggregate_id: Annotated[_Name | None, Meta(description="Only events of this aggregate")] = None
    aggregate_type: Annotated[_Name | None, Meta(description="Only events of aggregates of this type")] = None
    event_type: Annotated[_Name | None, Meta(description="Only events of this type")] = None
    from_timestamp: Annotated[_Moment | None, Meta(description="Only events from then on, RFC 3339")] = None
    to_timestamp: Annotated[_Moment | None, Meta(description="Only events before then, RFC 3339")] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Events a page")] = 100
    cursor: Annotated[_Cursor | None, Meta(description="next_cursor of an earlier answer")] = None


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
                problems=(503,),
            ),
        )

    async def _list(self, call: Call[EventsQuery, None]) -> Answer:
        query = call.query
        found = await self._events.page(
            EventQuery(
                aggregate_id=query.aggregate_id,
                aggregate_type=query.aggregate_type,
                event_type=query.event_type,
                from_timestamp=query.from_timestamp,
                to_timestamp=query.to_timestamp,
                limit=query.limit,
                cursor=query.cursor,
            )
        )
        return Answer(found)
