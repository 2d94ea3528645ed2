"""The event store's tables through the port EventStore."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from flexcore.application.ports import Append, Appended, EventQuery, FeedPoint, Receipt
from flexcore.domain.errors import Conflict
from flexcore.domain.events import RecordedEvent
from flexcore.domain.events import recorded_event as build_event
from flexcore.domain.json_object import JsonObject
from flexcore.domain.upcasting import UPCASTERS, Upcasters
from flexcore.infrastructure.postgres.database import Connection, Database
from flexcore.infrastructure.postgres.group_commit import GroupCommit

EVENT_COLUMNS: Final = (
    "id::text, position, type, aggregate_id, aggregate_type, version, data, metadata, recorded_at, "
    "encode(hash, 'hex') AS hash"
)
MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
"""Data and metadata of a page of `read`, unless its first event alone has more."""

_STREAM: Final = f"""
SELECT {EVENT_COLUMNS} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND version > $3 ORDER BY version
"""  # noqa: S608 - fixed columns
_FEED: Final = f"""
SELECT {EVENT_COLUMNS} FROM events
WHERE position > $1 AND position <= $2 AND ($3::text[] IS NULL OR aggregate_type = ANY($3)) ORDER BY position
"""  # noqa: S608 - fixed columns
_EVENTS: Final = f"SELECT {EVENT_COLUMNS} FROM events WHERE id = ANY($1) ORDER BY position"  # noqa: S608 - fixed columns
_RECEIPT: Final = "SELECT fingerprint, answer, event_ids FROM receipts WHERE key = $1"
_HEAD: Final = "SELECT coalesce((SELECT position FROM events ORDER BY position DESC LIMIT 1), 0)"

_decode: Final = msgspec.json.Decoder().decode


class PostgresEventStore:
    """Appends in groups, by one SQL function in one round trip; reads by the indexes of the events table.

    `stream` and `feed`, from which FlexCore itself reads, give every event in the newest shape of its data.
    """

    def __init__(self, database: Database, upcasters: Upcasters = UPCASTERS) -> None:
        self._database = database
        self._upcasters = upcasters
        self._commit = GroupCommit(database)

    async def append(self, append: Append) -> Appended:
        """Record `append` durably, or give what was recorded under its receipt before.

        Raises VersionConflict, Conflict (the receipt's key belongs to another request), Unavailable, TooBusy.
        """
        appended = await self._commit.append(append)
        if appended is not None:
            return appended
        if append.receipt is None:
            raise RuntimeError("an append without a receipt can't be a repetition")
        async with self._database.session() as connection:
            return await _of_the_first_time(connection, append.receipt)

    async def read(self, query: EventQuery, after: FeedPoint) -> tuple[list[RecordedEvent], bool]:
        """At most `query.limit` events after a point, oldest first, and whether there are more; raises Unavailable."""
        statement, arguments = _page(query, after)
        async with self._database.session() as connection:
            rows = await connection.fetch(statement, *arguments)
        has_more = bool(rows) and rows[0]["found"] > min(len(rows), query.limit)
        return [recorded_event(row) for row in rows[: query.limit]], has_more

    async def stream(self, aggregate_type: str, aggregate_id: str, after_version: int = 0) -> list[RecordedEvent]:
        """Events of one aggregate, oldest first; raises Unavailable."""
        async with self._database.session() as connection:
            rows = await connection.fetch(_STREAM, aggregate_type, aggregate_id, after_version)
        # Whoever reads a stream looks into its events, and may keep what is in them.
        return self._upcasters.upcast([recorded_event(row, content=_json) for row in rows])

    async def feed(
        self, after_position: int, limit: int, aggregate_types: Sequence[str] | None = None
    ) -> list[RecordedEvent]:
        """Events of the `limit` positions after one, oldest first, only of some aggregate types if given.

        Raises Unavailable.
        """
        async with self._database.session() as connection:
            rows = await connection.fetch(_FEED, after_position, after_position + limit, aggregate_types)
        # Whoever asks for some aggregates looks into their events; the others mostly pass them on.
        content = _unread if aggregate_types is None else _json
        return self._upcasters.upcast([recorded_event(row, content) for row in rows])

    async def head(self) -> int:
        """Return the last position, 0 for none; raises Unavailable."""
        async with self._database.session() as connection:
            return int(await connection.fetchval(_HEAD))


def _unread(text: str) -> Mapping[str, Any]:
    return JsonObject(text, _json)


def recorded_event(row: asyncpg.Record, content: Callable[[str], Mapping[str, Any]] = _unread) -> RecordedEvent:
    """Build the event from a row of EVENT_COLUMNS; `content` makes something of its data and its metadata."""
    event_id, position, kind, aggregate_id, aggregate_type, version, data, metadata, recorded_at, link, *_ = row
    return build_event(
        event_id,
        position,
        kind,
        aggregate_id,
        aggregate_type,
        version,
        content(data),
        content(metadata),
        recorded_at,
        link,
    )


def _json(text: str) -> Any:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        # Numbers beyond what msgspec reads; rare, and Python's own reader takes them.
        return json.loads(text)


async def _of_the_first_time(connection: Connection, receipt: Receipt) -> Appended:
    row = await connection.fetchrow(_RECEIPT, receipt.key)
    if row["fingerprint"] != receipt.fingerprint:
        key = receipt.key.partition(":")[2]
        raise Conflict(f"the key '{key}' was used for another request; a new request needs a key of its own")
    events = await connection.fetch(_EVENTS, row["event_ids"])
    return Appended(tuple(recorded_event(event) for event in events), _json(row["answer"]), repeated=True)


def _page(query: EventQuery, after: FeedPoint) -> tuple[str, list[Any]]:
    """Return the statement for a page and its arguments.

    Every combination of filters has an index that delivers its events in order, so a page costs what it holds,
    however long the log is.
    """
    by_time = query.from_timestamp is not None or query.to_timestamp is not None
    conditions: list[str] = []
    arguments: list[Any] = []

    def where(condition: str, *values: Any) -> None:
        numbers = [f"${len(arguments) + number}" for number in range(1, len(values) + 1)]
        arguments.extend(values)
        conditions.append(condition.format(*numbers))

    if not by_time:
        where("position > {}", after.position)
    elif after.timestamp is not None:
        where("(recorded_at, position) > ({}, {})", after.timestamp, after.position)
    for condition, value in (
        ("aggregate_id = {}", query.aggregate_id),
        ("aggregate_type = {}", query.aggregate_type),
        ("type = {}", query.event_type),
        ("recorded_at >= {}", query.from_timestamp),
        ("recorded_at < {}", query.to_timestamp),
    ):
        if value is not None:
            where(condition, value)
    order = "recorded_at, position" if by_time else "position"
    statement = f"""
    SELECT {EVENT_COLUMNS}, found FROM (
        SELECT *, count(*) OVER () AS found, row_number() OVER page AS number,
            sum(octet_length(data) + octet_length(metadata)) OVER page AS size
        FROM (SELECT * FROM events WHERE {" AND ".join(conditions)} ORDER BY {order} LIMIT {query.limit + 1}) AS page
        WINDOW page AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING)
    ) AS sized WHERE size <= {MAX_PAGE_BYTES} OR number = 1 ORDER BY {order}
    """  # noqa: S608 - fixed fragments and whole numbers
    return statement, arguments
