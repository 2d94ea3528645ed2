"""The one way in which anything is changed: typed commands, each with one handler, each done once.

A command that carries a key is recorded with a receipt, in the transaction of its events. The same command again, on
any node and after any restart, finds the receipt and gets the first answer; nothing happens a second time.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from flexcore.application.events import Events
from flexcore.application.ports import Appended, Clock, Job, Receipt, Receipts
from flexcore.domain.errors import Conflict, InvalidInput, NotFound
from flexcore.domain.events import NewEvent, RecordedEvent

Command = TypeVar("Command")


@dataclass(frozen=True, slots=True)
class Request:
    """On whose behalf a command is given, and how to tell that it was given before.

    `key` is the caller's, with a scope before it; None for whoever does not mind doing things twice. `fingerprint` is
    the SHA-256 of what is asked for, hexadecimal.
    """

    correlation_id: str
    user_id: str | None = None
    key: str | None = None
    fingerprint: str = ""
    began: float = field(default_factory=time.perf_counter)

    @property
    def metadata(self) -> dict[str, Any]:
        """What the events of the command say about their cause."""
        return {"correlation_id": self.correlation_id, "user_id": self.user_id}

    def receipt(self, answer: Any) -> Receipt | None:
        """Make the receipt that makes the command happen once."""
        return None if self.key is None else Receipt(self.key, self.fingerprint, answer)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: the events it recorded, and `facts` that they don't tell.

    `execution_time_ms` is the time until the decision went to the event log. All of it is that of the first time
    when the command is `repeated`.
    """

    aggregate_id: str
    events: tuple[RecordedEvent, ...]
    execution_time_ms: float
    timestamp: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
    repeated: bool = False


Handler = Callable[[Any, Request], Awaitable[Outcome]]


class CommandLog:
    """Records what commands decide, each once."""

    def __init__(self, events: Events, receipts: Receipts, clock: Clock) -> None:
        self._events = events
        self._receipts = receipts
        self._clock = clock

    async def record(
        self,
        request: Request,
        aggregate_id: str,
        events: Sequence[NewEvent],
        *,
        jobs: Sequence[Job] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Append the events of a command with its jobs and its receipt, or give what it did the first time.

        A command that decided to change nothing is recorded too if it has a key. Raises VersionConflict, Conflict
        (the key belongs to another request), TooBusy, Unavailable.
        """
        elapsed_ms = round((time.perf_counter() - request.began) * 1000, 3)
        timestamp = self._clock()
        answer = {
            "aggregate_id": aggregate_id,
            "execution_time_ms": elapsed_ms,
            "timestamp": timestamp.isoformat(),
            "facts": facts or {},
        }
        receipt = request.receipt(answer)
        if not (events or jobs or receipt):
            return Outcome(aggregate_id, (), elapsed_ms, timestamp, facts or {})
        appended = await self._events.append(events, jobs=jobs, receipt=receipt)
        if appended.repeated:
            return _first(appended)
        return Outcome(aggregate_id, appended.events, elapsed_ms, timestamp, facts or {})

    async def first(self, request: Request) -> Outcome | None:
        """Find what the command did the first time; raises Conflict if its key belongs to another request."""
        receipt = request.receipt(None)
        if receipt is None or await self._receipts.find(receipt.key) is None:
            return None
        return _first(await self._events.append((), receipt=receipt))


class CommandBus:
    """Hands each command to the handler of its type."""

    def __init__(self, log: CommandLog) -> None:
        self._log = log
        self._handlers: dict[type, Handler] = {}

    def register(self, command: type[Command], handler: Callable[[Command, Request], Awaitable[Outcome]]) -> None:
        """Let `handler` do all commands of a type."""
        if command in self._handlers:
            raise ValueError(f"{command.__name__} has a handler already")
        self._handlers[command] = handler

    async def send(self, command: object, request: Request) -> Outcome:
        """Do `command`, or give what it did before; raises whatever its handler raises.

        Raises Conflict if the request's key was used for another request.
        """
        handler = self._handlers[type(command)]
        # The handler judges by the present, in which the first time has already changed what it looks at.
        if (first := await self._log.first(request)) is not None:
            return first
        try:
            return await handler(command, request)
        except (Conflict, InvalidInput, NotFound):
            if (first := await self._log.first(request)) is not None:
                return first
            raise


def _first(appended: Appended) -> Outcome:
    answer = appended.answer
    return Outcome(
        answer["aggregate_id"],
        appended.events,
        answer["execution_time_ms"],
        datetime.fromisoformat(answer["timestamp"]),
        answer["facts"],
        repeated=True,
    )
