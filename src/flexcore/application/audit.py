"""The audit trail: who did what to what, when, from where, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

MAX_PAGE: Final = 1000


class AuditOutcome(StrEnum):
    """What came of an attempt. Refused: it was not allowed; failed: it was, and did not work."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


class AuditRecord(Struct, frozen=True, kw_only=True):
    """One attempt to change something, or to do what is not allowed.

    `actor` is an `Actor.name`, or `plugin:<id>` for what a plugin tried. `action` is one of a small fixed set: the
    name of an operation of the API, or what a plugin was refused. `target` and `detail` are short, for people, and
    never hold a secret. `at` is when it ended; None is now. `count` says how many such attempts the record stands for.
    """

    actor: str
    action: str
    target: str
    outcome: AuditOutcome
    detail: str = ""
    source: str | None = None
    correlation_id: str | None = None
    at: datetime | None = None
    count: int = 1


class StampedRecord(Struct, frozen=True):
    """A record that is ready to be kept."""

    id: str
    node_id: str
    at: datetime
    actor: str
    action: str
    target: str
    outcome: AuditOutcome
    detail: str
    source: str | None
    correlation_id: str | None
    count: int


class Audit(Protocol):
    """Where records go."""

    def record(self, record: AuditRecord) -> None:
        """Take a record of something that does not wait for it, such as a refusal; cheap, and never raises.

        Records of the same attempt by the same actor are counted together, and an actor who floods is cut short: the
        trail then says how many there were.
        """
        ...

    async def commit(self, record: AuditRecord) -> None:
        """Keep a record durably before returning; raises Unavailable, and then tries on by itself."""
        ...

    def stamp(self, record: AuditRecord) -> StampedRecord:
        """Make a record ready to be kept by somebody else, in a transaction with what it tells of."""
        ...


class AuditEntry(Struct, frozen=True):
    """A record as it is kept. It is part of a chain of hashes, so that a change shows."""

    id: str
    position: int
    timestamp: Annotated[datetime, Meta(description="When the attempt ended, by the clock of its node")]
    recorded_at: Annotated[datetime, Meta(description="When it was recorded, by the clock of the database")]
    actor: str
    action: str
    target: str
    outcome: AuditOutcome
    detail: str
    source: Annotated[str | None, Meta(description="Network address that the call came from")]
    correlation_id: str | None
    node_id: str
    count: Annotated[int, Meta(description="How many such attempts the record stands for")]
    hash: str


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which records, newest first. Times are those of recording; `to` is exclusive, `since` is not."""

    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    to: datetime | None = None
    limit: int = 100
    cursor: str | None = None


class AuditPage(Struct, frozen=True):
    """Part of the trail, newest first."""

    audit: tuple[AuditEntry, ...]
    next_cursor: str | None
    has_more: bool


class AuditLog(Protocol):
    """Where records are kept. Every method raises Unavailable while the database does not answer."""

    async def append(self, records: Sequence[StampedRecord], *, again: bool = False) -> None:
        """Keep `records` durably, all or none; `again` if an earlier attempt may have succeeded unseen."""
        ...

    async def page(self, query: AuditQuery) -> AuditPage:
        """Read one page; raises InvalidInput for a wrong limit or cursor."""
        ...
