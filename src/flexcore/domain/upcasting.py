"""Reading events that an older release recorded: an upcaster turns the data of one version into that of the next.

An event is never changed. The version of its data stands in its metadata as `schema_version`; without it, it is 1. When
the data of a type changes its shape, the step from the old shape to the new one is registered here, and everything that
decides or folds sees the newest shape only. What the log holds, and what its hashes cover, stays as it was recorded.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from flexcore.domain.events import NewEvent, RecordedEvent

SCHEMA_VERSION: Final = "schema_version"
FIRST_VERSION: Final = 1

Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Gives the data of the next version; it changes nothing that it is given."""


class Upcasters:
    """The steps, by event type."""

    def __init__(self) -> None:
        self._steps: dict[str, list[Upcaster]] = {}

    def register(self, event_type: str, from_version: int, upcaster: Upcaster) -> None:
        """Let `upcaster` lead from `from_version` to the next; each type's steps are registered in their order."""
        steps = self._steps.setdefault(event_type, [])
        if from_version != FIRST_VERSION + len(steps):
            raise ValueError(f"the next step of {event_type} leads from version {FIRST_VERSION + len(steps)}")
        steps.append(upcaster)

    def newest(self, event_type: str) -> int:
        """Version of the data that this release records."""
        return FIRST_VERSION + len(self._steps.get(event_type, ()))

    def stamp(self, event: NewEvent) -> NewEvent:
        """Note the version of the data in the event's metadata, where it is not the first."""
        if event.type not in self._steps:
            return event
        return replace(event, metadata={**event.metadata, SCHEMA_VERSION: self.newest(event.type)})

    def upcast(self, events: list[RecordedEvent]) -> list[RecordedEvent]:
        """Bring events to the newest versions of their data.

        One of a newer release, which this one can't know, stays as it is: such a release adds fields first and takes
        none away before no older node is left.
        """
        steps = self._steps
        if not steps:
            return events
        return [self._upcast(event, steps[event.type]) if event.type in steps else event for event in events]

    def _upcast(self, event: RecordedEvent, steps: list[Upcaster]) -> RecordedEvent:
        version = event.metadata.get(SCHEMA_VERSION, FIRST_VERSION)
        if not isinstance(version, int) or not FIRST_VERSION <= version < FIRST_VERSION + len(steps):
            return event
        data = event.data
        for step in steps[version - FIRST_VERSION :]:
            data = step(data)
        return replace(event, data=data, metadata={**event.metadata, SCHEMA_VERSION: FIRST_VERSION + len(steps)})


UPCASTERS: Final = Upcasters()
"""Those of this release. No event's data has changed its shape yet."""
