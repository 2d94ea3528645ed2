"""What the use cases need from the world, as protocols that the infrastructure implements."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from flexcore.application.audit import StampedRecord
from flexcore.domain.events import NewEvent, RecordedEvent
from flexcore.domain.manifest import PluginManifest
from flexcore.domain.usage import NOT_MEASURED, ExecutionUsage

Clock = Callable[[], datetime]
"""The present time, aware and in UTC."""

NewId = Callable[[], str]
"""A fresh UUIDv7 in its text form."""


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events to read, oldest first. Times are aware; `to_timestamp` is exclusive, `from_timestamp` is not."""

    aggregate_id: str | None = None
    aggregate_type: str | None = None
    event_type: str | None = None
    from_timestamp: datetime | None = None
    to_timestamp: datetime | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class FeedPoint:
    """A place between two events: after `position`, and in the order of times after `timestamp`, then `position`."""

    position: int = 0
    timestamp: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Part of a feed. `next_cursor` continues after its last event, also once newer ones have been appended."""

    events: tuple[RecordedEvent, ...]
    next_cursor: str | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class Job:
    """Work that some node does, at least once; enqueued by the transaction that records the events.

    `arguments` is JSON. Jobs with the same `lock` never run at the same time; none runs before `run_at`.
    """

    task: str
    arguments: Mapping[str, Any]
    lock: str | None = None
    run_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Makes a request happen once: kept with its events, so that the same request again gets the first answer.

    `key` is a scope, a colon and the caller's key, at most 300 characters. `fingerprint` tells another request under
    the same key; `answer` is JSON.
    """

    key: str
    fingerprint: str
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Append:
    """What one caller wants recorded, all or none: events with their ids, jobs, a receipt, who asked for it."""

    events: Sequence[tuple[str, NewEvent]]
    jobs: Sequence[Job] = ()
    receipt: Receipt | None = None
    audit: StampedRecord | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What is recorded. `repeated`: all of it was there before, and `answer` is that of the first time."""

    events: tuple[RecordedEvent, ...]
    answer: Any = None
    repeated: bool = False


class EventStore(Protocol):
    """An append-only log of events. Every method raises Unavailable while the database does not answer."""

    async def append(self, append: Append) -> Appended:
        """Record `append` durably; raises VersionConflict, Conflict (a key used for another request), TooBusy."""
        ...

    async def read(self, query: EventQuery, after: FeedPoint) -> tuple[list[RecordedEvent], bool]:
        """At most `query.limit` events after a point, and whether there are more; `query.cursor` is not looked at.

        They come in the order of their positions, or, when the query has a time, in that of their times. A page ends
        early when its events are large, but it is empty only if there are none.
        """
        ...

    async def stream(self, aggregate_type: str, aggregate_id: str, after_version: int = 0) -> list[RecordedEvent]:
        """Events of one aggregate, oldest first."""
        ...

    async def feed(
        self, after_position: int, limit: int, aggregate_types: Sequence[str] | None = None
    ) -> list[RecordedEvent]:
        """Events of at most `limit` positions after one, in their order; only of some aggregate types if given."""
        ...

    async def head(self) -> int:
        """Return the last position, which is also how many events there are; 0 for none."""
        ...


class Receipts(Protocol):
    """Looks up what was recorded under a receipt. Raises Unavailable while the database does not answer."""

    async def find(self, key: str) -> Receipt | None:
        """Return the receipt with this key."""
        ...


@dataclass(frozen=True, slots=True)
class ExecutionStatistics:
    """A plugin's executions over all nodes.

    An execution that finished with `success: false` counts as failed. The averages are over finished executions and
    None before the first, `peak_memory_bytes` is the most that one of them took; one whose node died before its end is
    in `total` alone.
    """

    total: int = 0
    successful: int = 0
    failed: int = 0
    average_duration_ms: float | None = None
    average_cpu_ms: float | None = None
    peak_memory_bytes: int | None = None
    last_execution: datetime | None = None
    last_failed: bool = False


class PluginHistory(Protocol):
    """What the event log says about plugins. Raises Unavailable while the database does not answer."""

    async def lifecycle(self, plugin_id: str | None = None) -> list[RecordedEvent]:
        """Lifecycle events, oldest first: of one plugin, or of all."""
        ...

    async def stream_version(self, plugin_id: str) -> int:
        """Version of the plugin's stream, 0 if it has none."""
        ...


@dataclass(frozen=True, slots=True)
class PluginCode:
    """One version of a plugin as it lies on this node.

    `digest` tells it from every other version; `directory` holds its files, and Python modules are looked for in
    `search_path`.
    """

    manifest: PluginManifest
    digest: str
    directory: Path
    search_path: tuple[Path, ...] = ()


class PluginCodes(Protocol):
    """The code of plugins on this node."""

    def find(self, plugin_id: str) -> PluginCode | None:
        """Return the version that this node runs now."""
        ...

    def all(self) -> Mapping[str, PluginCode]:
        """Return the version that this node runs now of each plugin, by its id."""
        ...


@dataclass(frozen=True, slots=True)
class PluginRequest:
    """One execution for a runner; `data` holds the operation's parameters, already checked."""

    execution_id: str
    code: PluginCode
    operation: str
    data: Mapping[str, Any]
    timeout_seconds: float
    correlation_id: str

    @property
    def plugin_id(self) -> str:
        """The plugin's id."""
        return self.code.manifest.id


@dataclass(frozen=True, slots=True)
class PluginAnswer:
    """What a plugin says. `success` False means it ran and the work did not succeed; `data` then holds why."""

    success: bool
    data: Any


@dataclass(frozen=True, slots=True)
class PluginResult:
    """A plugin's answer, and what it took to get there."""

    success: bool
    data: Any
    usage: ExecutionUsage = field(default=NOT_MEASURED, compare=False)

    @property
    def answer(self) -> PluginAnswer:
        """The answer alone, as callers are shown it."""
        return PluginAnswer(self.success, self.data)


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What the running executions of a plugin use on this node now; all zero when none runs."""

    cpu_percent: float = 0.0
    memory_mb: float = 0.0
    active_connections: int = 0


class PluginRunner(Protocol):
    """Runs plugins outside the server's process."""

    def check(self, code: PluginCode) -> None:
        """Raise what keeps this node from running a version now: Conflict (a secret is missing), Unavailable."""
        ...

    async def run(self, request: PluginRequest) -> PluginResult:
        """Run one operation to its end.

        Cancelling it kills the plugin with all its processes; then it raises ExecutionCancelled, once they are gone.
        Raises PluginFailed, ExecutionTimedOut, ExecutionKilled, and what `check` raises if it could not be begun.
        """
        ...

    def usage(self, plugin_id: str) -> ResourceUsage:
        """Measure what the plugin's running executions use on this node."""
        ...

    async def warm(self, code: PluginCode) -> None:
        """Get ready to run a version, so that its first execution does not wait; raises PluginFailed if it can't be."""
        ...

    async def retire(self, code: PluginCode) -> None:
        """Let go of a version that is not run any more, once its running executions have ended."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A probe that succeeded: the other side's version where it has one, and what was verified."""

    version: str | None
    message: str


class Probe(Protocol):
    """Asks one component whether it works. Implementations share no connection with the requests they judge."""

    @property
    def name(self) -> str:
        """The component's name in `/health`."""
        ...

    async def check(self) -> ProbeResult:
        """Verify the component once; any exception means that it does not work, its text says why."""
        ...


LiveMessage = Mapping[str, Any]
"""A message of the live channel: its fields, and its `kind`."""


class LiveChannel(Protocol):
    """Tells all nodes, this one included, what has just happened, so that nobody has to wait for the next poll.

    Messages may get lost, and all do while Redis is away: whoever listens also looks by itself every few seconds.
    """

    def publish(self, kind: str, **fields: Any) -> None:
        """Send a small message; returns at once and never raises. This node's listeners are called right here."""
        ...

    def subscribe(self, kind: str, callback: Callable[[LiveMessage], None]) -> Callable[[], None]:
        """Call `callback`, which must not block, for each message of a kind; call what is returned to end that."""
        ...


LeaderWork = Callable[[int], Awaitable[None]]
"""Work of the leader, given the fencing token of its term."""


class Leadership(Protocol):
    """Whether this node leads the cluster. At most one node's writes as leader succeed, because PostgreSQL checks."""

    @property
    def token(self) -> int | None:
        """The fencing token of this node's term; None while it does not lead."""
        ...

    def run_while_leading(self, name: str, work: LeaderWork) -> None:
        """Run `work` in every term of this node, from its beginning; it is cancelled when the term ends.

        What raises is started again after a pause; what returns is done for this term. A write as leader is in one
        transaction with a check of the token, which raises LeadershipLost and so ends the term.
        """
        ...
