"""The client's own book of every append it sent, and what became of it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What the client knows of an append."""

    UNKNOWN = "unknown"
    """No answer, or one that says it could not be told whether it was recorded."""
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """An answer that says it was not recorded."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer says that an event is."""

    id: str
    position: int
    version: int


@dataclass(slots=True)
class Attempt:
    """One append: the aggregates of its events in their order, and the last position acknowledged before it began.

    `name` is in each of its events. An attempt with an Idempotency-Key is one attempt however often it was sent.
    """

    name: str
    aggregates: tuple[str, ...]
    after: int
    outcome: Outcome = Outcome.UNKNOWN
    places: tuple[Place, ...] = field(default=())


class Journal:
    """All attempts. Written by the clients' thread, read by the test's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._attempts: dict[str, Attempt] = {}
        self._highest = 0
        self._acknowledged = 0

    @property
    def attempts(self) -> dict[str, Attempt]:
        """Every attempt by its name."""
        with self._changed:
            return dict(self._attempts)

    @property
    def acknowledged(self) -> int:
        """How many attempts were acknowledged."""
        return self._acknowledged

    def begin(self, name: str, aggregates: tuple[str, ...]) -> Attempt:
        """Write down that an attempt is about to be sent."""
        with self._changed:
            attempt = self._attempts[name] = Attempt(name, aggregates, self._highest)
        return attempt

    def acknowledge(self, attempt: Attempt, places: tuple[Place, ...]) -> None:
        """Write down that the server says where the events are."""
        with self._changed:
            attempt.outcome, attempt.places = Outcome.ACKNOWLEDGED, places
            self._highest = max(self._highest, *(place.position for place in places))
            self._acknowledged += 1
            self._changed.notify_all()

    def refuse(self, attempt: Attempt) -> None:
        """Write down that the server says that it recorded nothing."""
        with self._changed:
            attempt.outcome = Outcome.REFUSED

    def wait_for_more(self, count: int, seconds: float, while_: Callable[[], str]) -> None:
        """Return once `count` more attempts were acknowledged; TimeoutError tells what `while_()` says."""
        with self._changed:
            wanted = self._acknowledged + count
            if not self._changed.wait_for(lambda: self._acknowledged >= wanted, seconds):
                missing = wanted - self._acknowledged
                raise TimeoutError(f"{missing} of {count} appends were not acknowledged in {seconds:g} s; {while_()}")
