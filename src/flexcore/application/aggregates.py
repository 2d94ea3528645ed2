"""Loading aggregates whose streams are long: from the newest snapshot and the events after it."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from flexcore.domain.errors import FlexCoreError
from flexcore.domain.events import RecordedEvent

# A stream of which more than so many events had to be read gets a snapshot.
EVENTS_PER_SNAPSHOT: Final = 100

_logger = logging.getLogger("flexcore.snapshots")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An aggregate's state, as JSON, after the event that made it `version`.

    `schema_version` says of which shape the state is. A snapshot only saves time: it may be deleted whenever.
    """

    aggregate_type: str
    aggregate_id: str
    version: int
    schema_version: int
    state: str


class Snapshots(Protocol):
    """Keeps the newest snapshot of an aggregate. Raises Unavailable while the database does not answer."""

    async def newest(self, aggregate_type: str, aggregate_id: str, schema_version: int) -> Snapshot | None:
        """Return the newest of a shape, if there is one."""
        ...

    async def keep(self, snapshot: Snapshot) -> None:
        """Put it in the place of an older one."""
        ...


class Streams(Protocol):
    """Reads one aggregate's events."""

    async def stream(self, aggregate_type: str, aggregate_id: str, after_version: int = 0) -> list[RecordedEvent]:
        """Events of one aggregate, oldest first; raises Unavailable."""
        ...


class Aggregate(Protocol):
    """What can be loaded: a dataclass of values that JSON can hold."""

    version: int

    def take(self, events: Iterable[RecordedEvent]) -> None:
        """Go on with later events of the stream."""
        ...


A = TypeVar("A", bound=Aggregate)


@dataclass(frozen=True, slots=True)
class AggregateKind(Generic[A]):
    """One sort of aggregates: how its streams are called, and how a new one begins.

    Another `schema_version` makes earlier snapshots void; it is raised whenever the fields, or what `take` makes of
    an event, change.
    """

    aggregate_type: str
    schema_version: int
    cls: type[A]
    new: Callable[[str], A]


class Aggregates(Generic[A]):
    """Loads aggregates of one kind, and keeps a snapshot of each whose stream has become long."""

    def __init__(
        self,
        kind: AggregateKind[A],
        streams: Streams,
        snapshots: Snapshots,
        events_per_snapshot: int = EVENTS_PER_SNAPSHOT,
    ) -> None:
        self._kind = kind
        self._streams = streams
        self._snapshots = snapshots
        self._events_per_snapshot = events_per_snapshot

    async def load(self, aggregate_id: str) -> A:
        """Return the aggregate as its stream left it, a new one if it has no event; raises Unavailable."""
        aggregate = await self._restored(aggregate_id) or self._kind.new(aggregate_id)
        await self.follow(aggregate_id, aggregate)
        return aggregate

    async def follow(self, aggregate_id: str, aggregate: A) -> None:
        """Bring an aggregate that was loaded before up to date; raises Unavailable."""
        before = aggregate.version
        aggregate.take(await self._streams.stream(self._kind.aggregate_type, aggregate_id, before))
        # Where a boundary was passed, so that one that is followed step by step gets its snapshots as well.
        if aggregate.version // self._events_per_snapshot > before // self._events_per_snapshot:
            await self._keep(aggregate_id, aggregate)

    async def _restored(self, aggregate_id: str) -> A | None:
        kind = self._kind
        snapshot = await self._snapshots.newest(kind.aggregate_type, aggregate_id, kind.schema_version)
        if snapshot is None:
            return None
        try:
            restored = msgspec.json.decode(snapshot.state, type=kind.cls)
        except msgspec.MsgspecError as error:
            _logger.warning("the snapshot of %s '%s' is not used: %s", kind.aggregate_type, aggregate_id, error)
            return None
        return restored if restored.version == snapshot.version else None

    async def _keep(self, aggregate_id: str, aggregate: A) -> None:
        kind = self._kind
        state = msgspec.json.encode(aggregate).decode()
        snapshot = Snapshot(kind.aggregate_type, aggregate_id, aggregate.version, kind.schema_version, state)
        try:
            await self._snapshots.keep(snapshot)
        except FlexCoreError as error:
            # It would only have saved time.
            _logger.info("no snapshot of %s '%s': %s", kind.aggregate_type, aggregate_id, error)
