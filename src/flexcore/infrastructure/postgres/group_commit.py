"""Group commit: the appends of many callers in one durable transaction.

A commit waits for the disk, and appends have to take turns over all nodes. So while one transaction is under way the
appends that arrive gather, and the next transaction takes them all; each still succeeds or fails on its own.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec

from flexcore.application.ports import Append, Appended, Job
from flexcore.domain.errors import TooBusy, Unavailable, VersionConflict
from flexcore.domain.events import NewEvent, RecordedEvent
from flexcore.domain.json_object import JsonObject
from flexcore.infrastructure.postgres.database import Connection, Database

MAX_EVENTS: Final = 1000
"""Events in one transaction, unless a single append has more."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Data and metadata in one transaction, unless a single append has more."""
MAX_WAITING: Final = 10_000
"""Appends that wait on a lane; beyond them the caller is told to come back."""
SETTLE_SECONDS: Final = 5.0
"""How long to try to find out what became of a transaction whose connection broke."""
_SETTLE_RETRY_SECONDS: Final = 0.05
# Other callers want connections too; and a statement that begins this late still ends within the session's time.
_SESSION_SECONDS: Final = 1.0

_APPEND: Final = """
SELECT positions, versions, hashes, appended_at, conflict_events, conflict_versions, repeated_appends
FROM append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
_APPEND_AUDITED: Final = """
SELECT positions, versions, hashes, appended_at, conflict_events, conflict_versions, repeated_appends
FROM append_audited_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""

_LOCK: Final = "SELECT pg_advisory_xact_lock(7305201002)"
_FIRST_EVENTS: Final = "SELECT id, position FROM events WHERE id = ANY($1::uuid[])"
# An append's events are neighbours.
_APPENDED: Final = """
SELECT array_agg(position ORDER BY position) AS positions, array_agg(version ORDER BY position) AS versions,
       array_agg(hash ORDER BY position) AS hashes, min(recorded_at) AS appended_at
FROM events WHERE position BETWEEN $1 AND $2
"""

_encode: Final = msgspec.json.Encoder().encode


_Outcome: TypeAlias = Appended | VersionConflict | None
"""What became of an append; None: its receipt was there already."""


@dataclass(slots=True, eq=False)
class Waiting:
    """An append on its way: its JSON texts, their length, and what will become of it."""

    append: Append
    texts: Sequence[tuple[str, str]]
    size: int
    done: asyncio.Future[Appended | None]


@dataclass(slots=True)
class _Arguments:
    """The columns of one call of append_events. Appends and streams are numbered, from 0 and from 1."""

    stream_types: list[str] = field(default_factory=list)
    stream_ids: list[str] = field(default_factory=list)
    event_appends: list[int] = field(default_factory=list)
    event_streams: list[int] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    event_types: list[str] = field(default_factory=list)
    event_data: list[str] = field(default_factory=list)
    event_metadata: list[str] = field(default_factory=list)
    expected_versions: list[int | None] = field(default_factory=list)
    receipt_appends: list[int] = field(default_factory=list)
    receipt_keys: list[str] = field(default_factory=list)
    receipt_fingerprints: list[str] = field(default_factory=list)
    receipt_answers: list[str] = field(default_factory=list)
    job_appends: list[int] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, batch: Sequence[Waiting]) -> "_Arguments":
        arguments = cls()
        streams: dict[tuple[str, str], int] = {}
        for number, waiting in enumerate(batch):
            for (event_id, event), (data, metadata) in zip(waiting.append.events, waiting.texts, strict=True):
                key = (event.aggregate_type, event.aggregate_id)
                stream = streams.get(key)
                if stream is None:
                    stream = streams[key] = len(streams) + 1
                    arguments.stream_types.append(event.aggregate_type)
                    arguments.stream_ids.append(event.aggregate_id)
                arguments.event_appends.append(number)
                arguments.event_streams.append(stream)
                arguments.event_ids.append(event_id)
                arguments.event_types.append(event.type)
                arguments.event_data.append(data)
                arguments.event_metadata.append(metadata)
                arguments.expected_versions.append(event.expected_version)
            if (receipt := waiting.append.receipt) is not None:
                arguments.receipt_appends.append(number)
                arguments.receipt_keys.append(receipt.key)
                arguments.receipt_fingerprints.append(receipt.fingerprint)
                arguments.receipt_answers.append(_encode(receipt.answer).decode())
            for job in waiting.append.jobs:
                arguments.job_appends.append(number)
                arguments.jobs.append(_job(job))
        return arguments

    def columns(self) -> tuple[Sequence[Any], ...]:
        return tuple(getattr(self, name) for name in self.__slots__)


class GroupCommit:
    """Appends in groups, on two lanes: while PostgreSQL commits the one, this process prepares the other."""

    def __init__(self, database: Database) -> None:
        self._lanes = (_Lane(database), _Lane(database))

    async def append(self, append: Append) -> Appended | None:
        """Record `append` durably; None if its receipt is there already, and then nothing was recorded.

        Raises VersionConflict, Unavailable, TooBusy.
        """
        lane = min(self._lanes, key=_Lane.load)
        if lane.load() >= MAX_WAITING:
            raise TooBusy(f"{2 * MAX_WAITING} appends wait for PostgreSQL already; try again shortly")
        texts = [(_text(event.data), _text(event.metadata)) for _, event in append.events]
        size = sum(len(data) + len(metadata) for data, metadata in texts)
        waiting = Waiting(append, texts, size, asyncio.get_running_loop().create_future())
        lane.put(waiting)
        return await waiting.done


class _Lane:
    """One transaction after the other, for as long as there is something to append."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[Waiting] = []
        self._under_way = 0
        self._running: asyncio.Task[None] | None = None

    def load(self) -> int:
        """How many appends wait here or are being recorded."""
        return len(self._waiting) + self._under_way

    def put(self, waiting: Waiting) -> None:
        """Record it with the next transaction."""
        self._waiting.append(waiting)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="group-commit")

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._run_session()
        except Exception as error:
            _refuse(self._waiting, error)
            raise
        finally:
            self._running, self._under_way = None, 0

    async def _run_session(self) -> None:
        """Commit groups over one connection for a while, which saves asking for one each time."""
        batch: list[Waiting] = []
        sent = False
        until = time.monotonic() + _SESSION_SECONDS
        try:
            async with self._database.session() as connection:
                while time.monotonic() < until and (batch := self._next_batch()):
                    sent = True
                    outcomes = await _call(connection, batch)
                    sent = False
                    _tell(batch, outcomes)
        except Unavailable as error:
            if sent:
                await self._settle(batch)
            else:
                _refuse(self._next_batch(), error)
        except asyncpg.PostgresError as error:
            await self._isolate(batch, error)
        except Exception as error:
            _refuse(batch, error)
            raise

    def _next_batch(self) -> list[Waiting]:
        """Take the appends that fit into one transaction, in their order; no receipt's key twice."""
        events = size = taken = 0
        keys: set[str] = set()
        batch: list[Waiting] = []
        for waiting in self._waiting:
            events += len(waiting.append.events)
            size += waiting.size
            key = None if waiting.append.receipt is None else waiting.append.receipt.key
            if batch and (events > MAX_EVENTS or size > MAX_BYTES or key in keys):
                break
            taken += 1
            if not waiting.done.done():  # its caller may have gone
                batch.append(waiting)
                if key is not None:
                    keys.add(key)
        del self._waiting[:taken]
        self._under_way = len(batch)
        return batch

    async def _settle(self, batch: Sequence[Waiting]) -> None:
        """Find out what became of a transaction whose connection broke, and record what it did not.

        Under the log's lock that transaction has ended, or has yet to begin; then it will find the events' ids taken.
        """
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                async with self._database.session() as connection, connection.transaction():
                    await connection.execute(_LOCK)
                    found = await _recorded(connection, batch)
                    missing = [waiting for waiting in batch if waiting not in found]
                    outcomes = await _call(connection, missing) if missing else []
            except Unavailable as error:
                if self._database.silent or time.monotonic() > until:
                    _refuse(batch, _unknown(error))
                    return
                await asyncio.sleep(_SETTLE_RETRY_SECONDS)
            except asyncpg.PostgresError as error:
                _refuse(batch, error)
                return
            else:
                _tell(list(found), list(found.values()))
                _tell(missing, outcomes)
                return

    async def _isolate(self, batch: Sequence[Waiting], error: asyncpg.PostgresError) -> None:
        """Record each append of a transaction that PostgreSQL refused by itself, so that only the culprit fails."""
        if len(batch) == 1:
            _refuse(batch, error)
            return
        for waiting in batch:
            try:
                async with self._database.session() as connection:
                    _tell([waiting], await _call(connection, [waiting]))
            except (Unavailable, asyncpg.PostgresError) as own_error:
                _refuse([waiting], own_error)


async def _call(connection: Connection, batch: Sequence[Waiting]) -> list[_Outcome]:
    columns = _Arguments.of(batch).columns()
    audited = [(number, waiting.append.audit) for number, waiting in enumerate(batch) if waiting.append.audit]
    if audited:
        numbers, records = zip(*audited, strict=True)
        row = await connection.fetchrow(_APPEND_AUDITED, *columns, numbers, _encode(records).decode())
    else:
        row = await connection.fetchrow(_APPEND, *columns)
    conflicts = dict(zip(row["conflict_events"] or (), row["conflict_versions"] or (), strict=True))
    repeated = set(row["repeated_appends"])
    outcomes: list[_Outcome] = []
    first = 0
    for number, waiting in enumerate(batch):
        after = first + len(waiting.append.events)
        conflict = next((at for at in range(first, after) if at + 1 in conflicts), None) if conflicts else None
        if number in repeated:
            outcomes.append(None)
        elif conflict is not None:
            outcomes.append(_conflict(waiting.append.events[conflict - first][1], conflicts[conflict + 1]))
        else:
            outcomes.append(_appended(waiting.append, row, first))
        first = after
    return outcomes


def _conflict(event: NewEvent, version: int) -> VersionConflict:
    return VersionConflict(
        f"expected version {event.expected_version} of {event.aggregate_type} '{event.aggregate_id}', "
        f"but it is at version {version}"
    )


def _appended(append: Append, row: asyncpg.Record, first: int) -> Appended:
    positions, versions, hashes, appended_at = row["positions"], row["versions"], row["hashes"], row["appended_at"]
    events = tuple(
        RecordedEvent(
            id=event_id,
            position=positions[number],
            type=event.type,
            aggregate_id=event.aggregate_id,
            aggregate_type=event.aggregate_type,
            version=versions[number],
            data=event.data,
            metadata=event.metadata,
            timestamp=appended_at,
            hash=hashes[number].hex(),
        )
        for number, (event_id, event) in enumerate(append.events, first)
    )
    return Appended(events, None if append.receipt is None else append.receipt.answer)


async def _recorded(connection: Connection, batch: Sequence[Waiting]) -> dict[Waiting, _Outcome]:
    """Find those of `batch` whose events are in the log."""
    ids = [waiting.append.events[0][0] for waiting in batch if waiting.append.events]
    first_of = {str(row["id"]): row for row in await connection.fetch(_FIRST_EVENTS, ids)}
    found: dict[Waiting, _Outcome] = {}
    for waiting in batch:
        row = first_of.get(waiting.append.events[0][0]) if waiting.append.events else None
        if row is not None:
            count = len(waiting.append.events)
            rows = await connection.fetchrow(_APPENDED, row["position"], row["position"] + count - 1)
            found[waiting] = _appended(waiting.append, rows, 0)
    return found


def _tell(batch: Sequence[Waiting], outcomes: Sequence[_Outcome]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if waiting.done.done():
            continue
        if isinstance(outcome, VersionConflict):
            waiting.done.set_exception(outcome)
        else:
            waiting.done.set_result(outcome)


def _refuse(batch: Sequence[Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(error)


def _unknown(error: Unavailable) -> Unavailable:
    return Unavailable(
        error.service,
        f"{error} while it recorded the events: they may be there or not. Look, or send them again with the same "
        "Idempotency-Key",
    )


def _text(content: Mapping[str, Any]) -> str:
    return content.text if isinstance(content, JsonObject) else _encode(content).decode()


def _job(job: Job) -> str:
    row = {
        # A queue for each task: nodes look into those of the tasks they know.
        "queue_name": job.task,
        "task_name": job.task,
        "priority": 0,
        "lock": job.lock,
        "queueing_lock": None,
        "args": job.arguments,
        "scheduled_at": job.run_at,
    }
    return _encode(row).decode()
