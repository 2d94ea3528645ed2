"""The audit trail: who did what to what, when, from where, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class AuditOutcome(StrEnum):
    """What came of an attempt. Refused: it was not allowed; failed: it was, and did not work."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
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
