"""Waiting for a condition: with a deadline, an interval, and a number of times that it must hold in a row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .clock import Clock, Deadline

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Waited(Generic[Seen]):
    """Whether the condition came to hold, what was seen last, after how many looks and seconds."""

    satisfied: bool
    last: Seen
    looks: int
    elapsed: float


async def wait_until(
    look: Callable[[], Awaitable[Seen]],
    predicate: Callable[[Seen], bool],
    *,
    timeout: float,
    clock: Clock,
    interval: float = 1.0,
    stable: int = 1,
) -> Waited[Seen]:
    """Look every ``interval`` seconds until ``predicate`` holds ``stable`` times in a row or ``timeout`` is over.

    It looks at least once. The pause is cut to what is left, so that the last look happens at the deadline.
    """
    deadline = Deadline(clock, timeout)
    looks = in_a_row = 0
    while True:
        seen = await look()
        looks += 1
        in_a_row = in_a_row + 1 if predicate(seen) else 0
        elapsed = round(timeout - deadline.remaining, 3)
        if in_a_row >= stable:
            return Waited(True, seen, looks, elapsed)
        if deadline.remaining == 0:
            return Waited(False, seen, looks, elapsed)
        await clock.sleep(min(interval, deadline.remaining))
