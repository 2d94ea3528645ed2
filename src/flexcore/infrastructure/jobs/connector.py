"""procrastinate's statements on FlexCore's connections, which come back by themselves and never leave it waiting."""

import functools
import re
from typing import Any, Final, LiteralString

import asyncpg
import msgspec
from procrastinate.connector import BaseAsyncConnector, Pool
from procrastinate.exceptions import NoResult

from flexcore.infrastructure.postgres.database import Database

_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s")
# The one column of type jsonb that procrastinate reads; asyncpg gives it as text.
_JSON_COLUMN: Final = "args"


class DatabaseConnector(BaseAsyncConnector):
    """What procrastinate asks of a database. Raises Unavailable while PostgreSQL does not answer.

    Notifications are not its business: `listener.py` hears them on a connection of its own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_async(self, pool: Pool | None = None) -> None:
        """Do nothing: the connections are opened by whoever made them."""

    async def close_async(self) -> None:
        """Do nothing, likewise."""

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Run a statement."""
        await self.execute_query_all_async(query, **arguments)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        """Run a statement and return its first row; raises NoResult."""
        rows = await self.execute_query_all_async(query, **arguments)
        if not rows:
            raise NoResult
        return rows[0]

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        statement, names = numbered(query)
        async with self._database.session() as connection:
            rows = await connection.fetch(statement, *(arguments[name] for name in names))
        return [_decoded(row) for row in rows]


@functools.cache
def numbered(query: str) -> tuple[str, tuple[str, ...]]:
    """Translate psycopg's named placeholders into numbers, with the names in the order of the numbers."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found[1]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PLACEHOLDER.sub(number, query), tuple(names)


def _decoded(row: asyncpg.Record) -> dict[str, Any]:
    values = dict(row)
    if isinstance(values.get(_JSON_COLUMN), str):
        values[_JSON_COLUMN] = msgspec.json.decode(values[_JSON_COLUMN])
    return values
