"""Verifying that nobody changed the event log or the audit trail: the chain of hashes, and checkpoints along it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from flexcore.domain import chain
from flexcore.domain.checkpoint import Checkpoint
from flexcore.domain.errors import FlexCoreError, InvalidInput

MAX_POSITION: Final = 2**63 - 1

StoredLink: TypeAlias = tuple[Any, ...]
"""A stored entry: what its hash covers (`chain.Content`, `chain.RecordContent`), position first, then the hash."""


class StoredChain(Protocol):
    """The table of a chain as it is. Raises Unavailable while the database does not answer."""

    async def head(self) -> int:
        """Return the last position, 0 for none."""
        ...

    async def hash_at(self, position: int) -> bytes | None:
        """Return the stored hash of one entry, None if there is no such entry."""
        ...

    def links(self, first: int, last: int) -> AsyncGenerator[Sequence[StoredLink], None]:
        """Give the entries from `first` to `last` by position, in pages."""
        ...


class CheckpointLog(Protocol):
    """Signed checkpoints outside the database."""

    async def read(self) -> Sequence[Checkpoint]:
        """Give the checkpoints by position; raises ForgedCheckpoint if a signature is wrong."""
        ...


class ForgedCheckpoint(FlexCoreError):  # noqa: N818 - it says what was found
    """A checkpoint that its signature does not belong to."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What is chained: what an `entry` and the `whole` are called, and how a hash follows from the one before."""

    entry: str
    whole: str
    link: Callable[[bytes, Any], bytes]


EVENT_LOG: Final = Chain("event", "log", chain.link)
AUDIT_TRAIL: Final = Chain("record", "trail", chain.link_record)


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found: `checked` entries, against `checkpoints` signed checkpoints.

    `first_bad_position` is that of the first entry that is not what was recorded there; `reason` says how it shows.
    """

    verified: bool
    checked: int
    checkpoints: int
    first_bad_position: int | None = None
    reason: str | None = None


class Verifier:
    """Recomputes the chain from what is stored."""

    def __init__(self, stored: StoredChain, checkpoints: CheckpointLog, chained: Chain = EVENT_LOG) -> None:
        self._stored = stored
        self._checkpoints = checkpoints
        self._chained = chained

    async def verify(self, first: int = 1, last: int | None = None) -> Verification:
        """Check the entries from `first` to `last`, by default to the end; raises InvalidInput, Unavailable.

        The entry before `first` is taken as it is stored. By default the chain must also reach the newest checkpoint.
        """
        entry = self._chained.entry
        if not 1 <= first <= (last or MAX_POSITION) <= MAX_POSITION:
            raise InvalidInput.field("from", "must be 1 or more, and not after to")
        try:
            checkpoints = {found.position: found for found in await self._checkpoints.read()}
        except ForgedCheckpoint as error:
            return Verification(False, 0, 0, None, str(error))
        head = await self._stored.head()
        until = head if last is None else min(last, head)
        previous = chain.GENESIS if first == 1 or first > head else await self._stored.hash_at(first - 1)
        if previous is None:
            return Verification(False, 0, 0, first - 1, f"the {entry} at position {first - 1} is missing")
        found = await self._follow(first, until, previous, checkpoints)
        newest = max(checkpoints, default=0)
        if found.verified and last is None and newest > head:
            reason = f"the {self._chained.whole} ends at position {head}, but its {entry} at {newest} was signed"
            return Verification(False, found.checked, found.checkpoints, head + 1, reason)
        return found

    async def _follow(self, first: int, last: int, previous: bytes, checkpoints: dict[int, Checkpoint]) -> Verification:
        expected, confirmed, compared = first, first, 0
        entry, link = self._chained.entry, self._chained.link

        def bad(position: int, reason: str) -> Verification:
            return Verification(False, expected - first, compared, position, reason)

        async with aclosing(self._stored.links(first, last)) as pages:
            async for page in pages:
                for row in page:
                    position, stored = row[0], row[-1]
                    if position != expected:
                        return bad(expected, f"the {entry} at position {expected} is missing")
                    previous = link(previous, row[:-1])
                    if previous != stored:
                        return bad(position, f"the {entry} at position {position} does not fit its hash")
                    if (checkpoint := checkpoints.get(position)) is not None:
                        if checkpoint.hash != stored.hex():
                            reason = (
                                f"the {entry} at position {position} has another hash than was signed at "
                                f"{checkpoint.signed_at.isoformat()}: {entry}s from {confirmed} on were rewritten"
                            )
                            return bad(confirmed, reason)
                        compared += 1
                        confirmed = position + 1
                    expected += 1
                # Whoever else runs in this process gets a turn.
                await asyncio.sleep(0)
        if expected <= last:
            return bad(expected, f"the {entry} at position {expected} is missing")
        return Verification(True, expected - first, compared)
