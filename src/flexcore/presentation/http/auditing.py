"""Makes audit records of calls: of what changes something before it is answered, of refusals in passing."""

from typing import Final

from starlette.types import Scope

from flexcore.application.audit import Audit, AuditOutcome, AuditRecord, StampedRecord
from flexcore.domain.access import Actor
from flexcore.domain.errors import Unavailable
from flexcore.presentation.http.problems import HttpError

CORRELATION: Final = "flexcore.correlation_id"
"""Scope key: the request's correlation id."""

_REFUSALS: Final = frozenset({"unauthorized", "forbidden", "too-many-attempts"})


class CallAudit:
    """The records of one operation."""

    def __init__(self, audit: Audit, action: str) -> None:
        self._audit = audit
        self._action = action

    def refused(self, scope: Scope, actor: Actor, error: HttpError) -> None:
        """Tell of a call that its caller may not make; other errors are none of this."""
        if error.slug in _REFUSALS:
            self._audit.record(self._record(scope, actor, scope["path"], AuditOutcome.REFUSED, _detail(error)))

    async def failed(self, scope: Scope, actor: Actor, target: str, error: HttpError) -> None:
        """Tell of a call that is answered with `error`."""
        if error.slug in _REFUSALS:
            self._audit.record(self._record(scope, actor, target, AuditOutcome.REFUSED, _detail(error)))
            return
        try:
            await self._audit.commit(self._record(scope, actor, target, AuditOutcome.FAILED, _detail(error)))
        except Unavailable:
            # The caller is told what failed; the record waits until the database takes it.
            return

    def broken_off(self, scope: Scope, actor: Actor, target: str) -> None:
        """Tell of a call that came to no answer."""
        self._audit.record(self._record(scope, actor, target, AuditOutcome.FAILED, "broken off"))

    async def succeeded(self, scope: Scope, actor: Actor, target: str, status: int) -> None:
        """Tell of a call that is about to be answered; raises Unavailable."""
        await self._audit.commit(self._record(scope, actor, target, AuditOutcome.SUCCEEDED, str(status)))

    def stamped(self, scope: Scope, actor: Actor, status: int) -> StampedRecord:
        """Make the record of a call's success for a handler that keeps it itself."""
        record = self._record(scope, actor, scope["path"], AuditOutcome.SUCCEEDED, str(status))
        return self._audit.stamp(record)

    def _record(self, scope: Scope, actor: Actor, target: str, outcome: AuditOutcome, detail: str) -> AuditRecord:
        return AuditRecord(
            actor=actor.name,
            action=self._action,
            target=target,
            outcome=outcome,
            detail=detail,
            source=actor.source,
            correlation_id=scope[CORRELATION],
        )


def _detail(error: HttpError) -> str:
    # The text of an error may quote what the caller sent.
    return f"{error.status} {error.slug}"
