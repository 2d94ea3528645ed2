"""The audit trail in PostgreSQL, through the port AuditLog."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flexcore.application import cursors
from flexcore.application.audit import MAX_PAGE, AuditEntry, AuditPage, AuditQuery, StampedRecord
from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.postgres.database import Database

_FEED: Final = "audit"
_APPEND: Final = "SELECT append_audit($1, $2)"
_COLUMNS: Final = (
    "id::text, position, at AS timestamp, recorded_at, actor, action, target, outcome, detail, source, "
    "correlation_id, node_id, count, encode(hash, 'hex') AS hash"
)
_HEAD: Final = "SELECT coalesce(max(position), 0) FROM audit"
_SINCE: Final = "SELECT audit_position_since($1)"

_encode: Final = msgspec.json.Encoder().encode


class PostgresAuditLog:
    """Appends in the order of calls, and reads the newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: int | None = None

    async def append(self, records: Sequence[StampedRecord], *, again: bool = False) -> None:
        """Keep `records`; raises Unavailable."""
        async with self._database.session() as connection:
            if self._seen is None:
                self._seen = await connection.fetchval(_HEAD)
            known = self._seen if again else None
            self._seen = await connection.fetchval(_APPEND, _encode(records).decode(), known)

    async def page(self, query: AuditQuery) -> AuditPage:
        """Read one page; raises InvalidInput, Unavailable."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidInput.field("limit", f"must be 1 to {MAX_PAGE}")
        conditions: list[str] = []
        arguments: list[Any] = [query.limit + 1]

        def add(condition: str, value: Any) -> None:
            arguments.append(value)
            conditions.append(f"{condition} ${len(arguments)}")

        if query.cursor is not None:
            add("position <", cursors.decode(_FEED, query.cursor))
        for column, value in (("actor", query.actor), ("action", query.action)):
            if value is not None:
                if "\0" in value:
                    raise InvalidInput.field(column, "must not contain the character NUL")
                add(f"{column} =", value)
        async with self._database.session() as connection:
            # Times of recording never go back, so they are found by position: that is the order of the answer.
            if query.since is not None:
                add("position >=", await connection.fetchval(_SINCE, query.since))
            if query.to is not None:
                add("position <", await connection.fetchval(_SINCE, query.to))
            where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
            statement = f"SELECT {_COLUMNS} FROM audit {where}ORDER BY position DESC LIMIT $1"  # noqa: S608 - fixed
            rows = await connection.fetch(statement, *arguments)
        entries = tuple(msgspec.convert(dict(row), AuditEntry) for row in rows[: query.limit])
        has_more = len(rows) > query.limit
        return AuditPage(entries, cursors.encode(_FEED, entries[-1].position) if has_more else None, has_more)
