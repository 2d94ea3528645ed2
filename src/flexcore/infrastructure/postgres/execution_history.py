"""The read model execution_history through the port ExecutionHistory."""

from datetime import datetime
from typing import Any, Final

from flexcore.application import cursors
from flexcore.application.projections.freshness import Freshness
from flexcore.application.read_models.execution_history import (
    MAX_PAGE,
    ExecutionHistoryProjection,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
    ExecutionStatus,
)
from flexcore.domain.errors import InvalidInput, Unavailable
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.read_model_table import table_of

_PROJECTION: Final = ExecutionHistoryProjection()
_TABLE: Final = table_of(_PROJECTION)
_FEED: Final = "executions"
_FIRST: Final = 2**63 - 1

_GET = f"SELECT {_TABLE.list} FROM {_TABLE.live} AND execution_id = $1"  # noqa: S608 - names of ours
_OVERDUE = f"""
SELECT {_TABLE.list} FROM {_TABLE.live} AND status = '{ExecutionStatus.RUNNING}' AND deadline < $1
ORDER BY deadline LIMIT $2
"""  # noqa: S608 - names of ours


class PostgresExecutionHistory:
    """Every question first waits for what was recorded before it."""

    def __init__(self, database: Database, freshness: Freshness) -> None:
        self._database = database
        self._freshness = freshness

    async def page(self, query: ExecutionQuery) -> ExecutionPage:
        """Read one page, newest first; raises InvalidInput, Unavailable."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidInput.field("limit", f"must be 1 to {MAX_PAGE}")
        before = _FIRST if query.cursor is None else cursors.decode(_FEED, query.cursor)
        conditions = ["position < $1"]
        arguments: list[Any] = [before, query.limit + 1]
        for column, value in (("plugin_id", query.plugin_id), ("status", query.status)):
            if value is not None:
                arguments.append(str(value))
                conditions.append(f"{column} = ${len(arguments)}")
        statement = (
            f"SELECT {_TABLE.list} FROM {_TABLE.live} AND {' AND '.join(conditions)} "  # noqa: S608 - fixed fragments
            "ORDER BY position DESC LIMIT $2"
        )
        await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection:
            found = [_TABLE.of(record) for record in await connection.fetch(statement, *arguments)]
        has_more = len(found) > query.limit
        rows = tuple(found[: query.limit])
        return ExecutionPage(rows, cursors.encode(_FEED, rows[-1].position) if has_more else None, has_more)

    async def get(self, execution_id: str) -> ExecutionRow | None:
        """Read one execution; raises Unavailable, also if it may have begun in what the history does not hold yet."""
        fresh = await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection:
            record = await connection.fetchrow(_GET, execution_id)
        if record is None and not fresh:
            raise Unavailable(
                "execution_history", "the history of executions is behind the event log; ask again shortly"
            )
        return None if record is None else _TABLE.of(record)

    async def overdue(self, at: datetime, limit: int = 100) -> list[ExecutionRow]:
        """Return executions that still run after their deadline, oldest first; raises Unavailable."""
        await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection:
            return [_TABLE.of(record) for record in await connection.fetch(_OVERDUE, at, limit)]
