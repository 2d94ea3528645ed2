"""The event log as one would explain it on a page: a list of events, and a book of receipts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flexcore.application.ports import Appended, EventQuery
from flexcore.domain.events import NewEvent, RecordedEvent


@dataclass
class LogModel:
    """What the store should hold."""

    events: list[RecordedEvent] = field(default_factory=list)
    receipts: dict[str, tuple[str, Appended]] = field(default_factory=dict)
    """By key: the request's fingerprint and the first answer."""

    def version(self, aggregate_type: str, aggregate_id: str) -> int:
        """Version of a stream, 0 for one that does not exist."""
        return len(self.stream(aggregate_type, aggregate_id))

    def stream(self, aggregate_type: str, aggregate_id: str) -> list[RecordedEvent]:
        """Events of one aggregate, oldest first."""
        return [
            event
            for event in self.events
            if (event.aggregate_type, event.aggregate_id) == (aggregate_type, aggregate_id)
        ]

    def accepts(self, new: Sequence[NewEvent]) -> bool:
        """Whether every expected version is met, each event of the batch counting for those after it."""
        before: dict[tuple[str, str], int] = {}
        for event in new:
            stream = (event.aggregate_type, event.aggregate_id)
            version = before.setdefault(stream, self.version(*stream))
            if event.expected_version not in (None, version):
                return False
            before[stream] += 1
        return True

    def record(self, new: Sequence[NewEvent], appended: Appended) -> None:
        """Take over what the store says it recorded; AssertionError when that is not what was given."""
        assert not appended.repeated
        assert len(appended.events) == len(new)
        for given, event in zip(new, appended.events, strict=True):
            assert event.position == len(self.events) + 1
            assert event.version == self.version(given.aggregate_type, given.aggregate_id) + 1
            for name in ("type", "aggregate_type", "aggregate_id", "data", "metadata"):
                assert getattr(event, name) == getattr(given, name), name
            assert all(event.id != other.id for other in self.events)
            self.events.append(event)

    def page(self, query: EventQuery) -> list[RecordedEvent]:
        """Everything that matches, without regard to limit and cursor; by time when times are asked for."""
        conditions: list[tuple[object, Callable[[RecordedEvent], bool]]] = [
            (query.aggregate_id, lambda event: event.aggregate_id == query.aggregate_id),
            (query.aggregate_type, lambda event: event.aggregate_type == query.aggregate_type),
            (query.event_type, lambda event: event.type == query.event_type),
            (query.from_timestamp, lambda event: event.timestamp >= query.from_timestamp),
            (query.to_timestamp, lambda event: event.timestamp < query.to_timestamp),
        ]
        asked = [holds for value, holds in conditions if value is not None]
        found = [event for event in self.events if all(holds(event) for holds in asked)]
        if query.from_timestamp is None and query.to_timestamp is None:
            return found
        return sorted(found, key=lambda event: (event.timestamp, event.position))
