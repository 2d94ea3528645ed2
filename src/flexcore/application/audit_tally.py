"""Counts refusals together, so that whoever is refused very often can't fill the disk with the story of it."""

from collections.abc import Iterator
from typing import Final

import msgspec

from flexcore.application.audit import AuditRecord
from flexcore.domain.access import ANONYMOUS_NAME

WINDOW_SECONDS: Final = 60.0
MOST_OF_ONE: Final = 30
"""Different records that one caller from one address may leave in a window."""
MOST_OF_ALL: Final = 100
"""Different records of a window: of all whom nobody knows, and again of all known callers."""
FURTHER_ACTION: Final = "several"
_FURTHER_DETAIL: Final = "further refusals, beyond those that are recorded one by one"


class _Counted:
    """The records of one attempt within a window."""

    __slots__ = ("first", "told", "untold")

    def __init__(self, first: AuditRecord) -> None:
        self.first = first
        self.untold = 0
        self.told = False

    def tell(self) -> AuditRecord:
        """Return the record of what was not yet told."""
        count, self.untold, self.told = self.untold, 0, True
        return msgspec.structs.replace(self.first, count=count)


class RefusalTally:
    """What was refused in the present window. The first of its kind is told at once, and how many followed at its end.

    Times are in seconds, of any clock that only goes forward.
    """

    def __init__(self) -> None:
        self._ends = 0.0
        self._counted: dict[tuple[str, ...], _Counted] = {}
        self._untold: list[_Counted] = []
        self._of_one: dict[tuple[str, str], int] = {}
        self._of_all = {True: 0, False: 0}

    def add(self, record: AuditRecord) -> None:
        """Count `record`."""
        key = (record.actor, record.action, record.target, record.outcome, record.source or "")
        counted = self._counted.get(key)
        if counted is None:
            counted = self._begin(key, record)
        counted.untold += record.count

    def due(self, now: float) -> Iterator[AuditRecord]:
        """Give what is to be recorded now."""
        if now >= self._ends:
            yield from self.close()
            self._ends = now + WINDOW_SECONDS
        else:
            untold, self._untold = self._untold, []
            for counted in untold:
                yield counted.tell()

    def close(self) -> Iterator[AuditRecord]:
        """Give all that was not yet told, and begin anew."""
        counted, self._counted = self._counted, {}
        self._untold, self._of_one, self._of_all = [], {}, {True: 0, False: 0}
        for one in counted.values():
            if one.untold:
                yield one.tell()

    def _begin(self, key: tuple[str, ...], record: AuditRecord) -> _Counted:
        stranger = record.actor == ANONYMOUS_NAME
        caller = (record.actor, record.source or "")
        if self._of_all[stranger] >= MOST_OF_ALL or self._of_one.get(caller, 0) >= MOST_OF_ONE:
            # Addresses can be made up in any number, so those of strangers are not told apart here.
            actor = record.actor if self._of_all[stranger] < MOST_OF_ALL else ANONYMOUS_NAME if stranger else "several"
            record = AuditRecord(
                actor=actor,
                action=FURTHER_ACTION,
                target="",
                outcome=record.outcome,
                detail=_FURTHER_DETAIL,
                source=None if stranger else record.source,
            )
            key = (actor, FURTHER_ACTION, "", record.outcome, record.source or "")
            if (further := self._counted.get(key)) is not None:
                return further
        else:
            self._of_all[stranger] += 1
            self._of_one[caller] = self._of_one.get(caller, 0) + 1
        self._counted[key] = counted = _Counted(record)
        self._untold.append(counted)
        return counted
