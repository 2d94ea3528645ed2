"""What a projection is: rows of one kind, and how each event changes the one row that it is about."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from flexcore.domain.events import RecordedEvent

Row = TypeVar("Row")


class Projection(Protocol[Row]):
    """Folds events into rows. Pure: the same events give the same rows, on any node and at any time.

    Rows are mutable dataclasses whose first field is the row's key; the fields are the columns of the table `name`.
    A change of what the fold gives for old events is a new `version`: the read model is then built anew.
    """

    @property
    def name(self) -> str:
        """The read model's name, which is its table's."""
        ...

    @property
    def version(self) -> int:
        """Counts the changes of the fold, from 1."""
        ...

    @property
    def row(self) -> type[Row]:
        """The class of the rows."""
        ...

    @property
    def aggregate_types(self) -> tuple[str, ...]:
        """The aggregates whose events are read."""
        ...

    @property
    def event_types(self) -> frozenset[str]:
        """The events that change a row; `key` is None for all others."""
        ...

    def key(self, event: RecordedEvent) -> str | None:
        """Key of the row that `event` is about; None if it changes nothing here."""
        ...

    def apply(self, row: Row | None, event: RecordedEvent) -> Row:
        """Return the row after `event`: `row` itself, changed, or a new one if there was none.

        Events come in the order of their positions, each once. Whatever their data holds, this does not raise.
        """
        ...


def by_row(projection: Projection[Row], events: Iterable[RecordedEvent]) -> Mapping[str, list[RecordedEvent]]:
    """Sort `events` out by the row that each is about, in their order."""
    key_of = projection.key
    found: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
    for event in events:
        key = key_of(event)
        if key is not None:
            found[key].append(event)
    return found


def fold(
    projection: Projection[Row], rows: Mapping[str, Row], events: Mapping[str, list[RecordedEvent]]
) -> dict[str, Row]:
    """Apply the events of each row to it, or to nothing if `rows` lacks it; gives the rows by their keys."""
    apply = projection.apply
    changed: dict[str, Row] = {}
    for key, about in events.items():
        row = rows.get(key)
        for event in about:
            row = apply(row, event)
        if row is not None:
            changed[key] = row
    return changed
