"""What projections need from the world."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from flexcore.application.projections.projection import Projection, Row
from flexcore.domain.events import RecordedEvent


class Superseded(Exception):  # noqa: N818 - says what happened, like the domain's errors
    """Someone else moved or replaced this generation meanwhile; nothing was written. Look again."""


class GenerationStatus(StrEnum):
    """`live` answers queries, `building` is being filled beside it, `retired` waits to be deleted."""

    LIVE = "live"
    BUILDING = "building"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Generation:
    """One build of a read model: its rows reflect every event up to `position` and none after it.

    `idle_seconds` passed since it moved last, by the database's clock; `failure` says why it can't go on.
    """

    name: str
    number: int
    version: int
    status: GenerationStatus
    position: int
    idle_seconds: float
    failure: str | None = None


class EventFeed(Protocol):
    """The event log in its order. Raises Unavailable while the database does not answer."""

    async def head(self) -> int:
        """Position of the newest event, 0 for an empty log."""
        ...

    async def feed(
        self, after_position: int, limit: int, aggregate_types: Sequence[str] | None = None
    ) -> list[RecordedEvent]:
        """Events of the `limit` positions after one, oldest first, only of some aggregate types if given.

        None is ever added later before the last of them.
        """
        ...


class ProjectionStore(Protocol):
    """Keeps the generations and their rows. Raises Unavailable while the database does not answer."""

    async def generations(self) -> list[Generation]:
        """All there are, by name and number."""
        ...

    async def live(self, projection: Projection[Any]) -> Generation:
        """Return the generation that answers queries; the first one is made if there is none."""
        ...

    async def begin(self, projection: Projection[Any]) -> Generation:
        """Start a new generation at position 0; raises Superseded if one is being built already."""
        ...

    async def rows(self, projection: Projection[Row], generation: Generation, keys: Iterable[str]) -> dict[str, Row]:
        """Those of the rows that exist, by their keys."""
        ...

    async def advance(
        self,
        projection: Projection[Row],
        generation: Generation,
        position: int,
        *,
        new: Mapping[str, Row],
        changed: Mapping[str, Row],
        token: int | None = None,
    ) -> Generation:
        """Write rows and position in one transaction, if the generation is still where `generation` says.

        `token` is the leader's, and the transaction is one of its term; None is for whoever needs no leadership.
        Raises Superseded, LeadershipLost.
        """
        ...

    async def fail(self, generation: Generation, failure: str) -> None:
        """Note why the generation can't go on, for operators; its next advance clears that."""
        ...

    async def promote(self, generation: Generation, token: int | None = None) -> bool:
        """Let a building generation answer queries; False while it is behind the live one.

        Raises Superseded, LeadershipLost.
        """
        ...

    async def discard(self, generation: Generation) -> None:
        """Delete a generation that does not answer queries, with its rows."""
        ...

    async def freshness(self, projection: Projection[Any]) -> tuple[int, int]:
        """Position of the newest event that changes the read model, and the position it has reached."""
        ...
