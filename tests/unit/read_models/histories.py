"""Events as the log would give them, without a log."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flexcore.application.projections.projection import Projection, Row, by_row, fold
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, RecordedEvent

START = datetime(2025, 8, 1, tzinfo=UTC)


def recorded(
    *events: NewEvent | tuple[str, dict[str, Any]], plugin_id: str = "p", metadata: dict[str, Any] | None = None
) -> list[RecordedEvent]:
    """Number events from position 1 on, one a second; a pair is a type and data of an event of the plugin."""
    return [
        _recorded(
            event
            if isinstance(event, NewEvent)
            else NewEvent(event[0], plugin_id, PLUGIN_AGGREGATE, event[1], metadata or {}),
            position,
        )
        for position, event in enumerate(events, 1)
    ]


def at(position: int) -> datetime:
    """When `recorded` says that the event at a position was recorded."""
    return START + timedelta(seconds=position)


def folded(projection: Projection[Row], events: list[RecordedEvent]) -> dict[str, Row]:
    """Give the rows that the events make of nothing."""
    return fold(projection, {}, by_row(projection, events))


def _recorded(event: NewEvent, position: int) -> RecordedEvent:
    return RecordedEvent(
        id=f"event-{position}",
        position=position,
        type=str(event.type),
        aggregate_id=event.aggregate_id,
        aggregate_type=event.aggregate_type,
        version=position,
        data=event.data,
        metadata=event.metadata,
        timestamp=at(position),
        hash=f"{position:064x}",
    )
