"""The commands of postgres-processor."""

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from flexcore_plugin import OperationFailed
from flexcore_plugins.postgres_processor import copying
from flexcore_plugins.postgres_processor.connections import Databases
from flexcore_plugins.postgres_processor.values import to_json, to_postgres

_FETCHED_AT_ONCE: Final = 500
_MOST_ANSWER_BYTES: Final = 9 << 20
_HEALTH_SECONDS: Final = 5

T = TypeVar("T")


class PostgresProcessor:
    """Each public method is one command of the manifest, whose schema has checked the parameters."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._databases = Databases(configuration)

    def health(self) -> dict[str, object]:
        """Ask every configured database for its version."""
        return _run(self._health())

    def query(
        self,
        sql: str,
        parameters: list[Any] | None = None,
        connection: str = "default",
        row_limit: int = 1000,
        timeout_seconds: float = 30,
        read_only: bool = True,
    ) -> dict[str, object]:
        """Give the rows of one statement."""
        return _run(self._query(sql, parameters or [], connection, row_limit, timeout_seconds, read_only))

    def execute(
        self,
        sql: str,
        parameters: list[Any] | None = None,
        parameter_sets: list[list[Any]] | None = None,
        connection: str = "default",
        timeout_seconds: float = 30,
    ) -> dict[str, object]:
        """Run one statement, or the same with each of many sets of parameters, in one transaction."""
        if parameters is not None and parameter_sets is not None:
            raise OperationFailed("give parameters or parameter_sets, not both")
        sets = [parameters or []] if parameter_sets is None else parameter_sets
        return _run(self._execute(sql, sets, connection, timeout_seconds, named=parameter_sets is not None))

    def copy_in(
        self,
        table: str,
        format: str,  # noqa: A002 - its name in the manifest
        text: str,
        schema: str | None = None,
        columns: list[str] | None = None,
        header: bool = True,
        delimiter: str = ",",
        null: str = "",
        connection: str = "default",
        timeout_seconds: float = 60,
    ) -> dict[str, object]:
        """Load CSV or NDJSON into a table with COPY: all of it, or nothing."""
        return _run(
            self._copy_in(
                copying.Table(schema, table),
                copying.rows_of(format, text, columns=columns, header=header, delimiter=delimiter, null=null),
                connection,
                timeout_seconds,
            )
        )

    def copy_out(
        self,
        format: str,  # noqa: A002 - its name in the manifest
        sql: str | None = None,
        parameters: list[Any] | None = None,
        table: str | None = None,
        schema: str | None = None,
        columns: list[str] | None = None,
        header: bool = True,
        delimiter: str = ",",
        null: str = "",
        connection: str = "default",
        timeout_seconds: float = 60,
    ) -> dict[str, object]:
        """Give a table, or the rows of a query, as CSV or NDJSON with COPY."""
        if (sql is None) == (table is None):
            raise OperationFailed("give sql or a table, not both")
        statement = sql or copying.Table(schema, table or "").selected(columns)
        csv = {"header": header, "delimiter": delimiter, "null": null} if format == "csv" else None
        return _run(self._copy_out(statement, parameters or [], csv, connection, timeout_seconds))

    async def _health(self) -> dict[str, object]:
        found = {}
        for name in self._databases.names:
            begun = time.monotonic()
            async with self._databases.open(name, timeout_seconds=_HEALTH_SECONDS, read_only=True) as connection:
                version = await connection.fetchval("SHOW server_version")
            found[name] = {"version": version, "response_time_ms": round((time.monotonic() - begun) * 1000, 1)}
        return {"status": "healthy", "connections": found}

    async def _query(
        self, sql: str, values: Sequence[Any], name: str, row_limit: int, timeout_seconds: float, read_only: bool
    ) -> dict[str, object]:
        async with (
            self._databases.open(name, timeout_seconds=timeout_seconds, read_only=read_only) as connection,
            connection.transaction(readonly=read_only),
        ):
            statement = await connection.prepare(sql)
            columns = [{"name": each.name, "type": each.type.name} for each in statement.get_attributes()]
            _check_columns([str(column["name"]) for column in columns])
            cursor = await statement.cursor(*_arguments(statement, values))
            rows: list[Any] = []
            size = 0
            while len(rows) <= row_limit and size <= _MOST_ANSWER_BYTES:
                fetched = await cursor.fetch(min(_FETCHED_AT_ONCE, row_limit + 1 - len(rows)))
                if not fetched:
                    break
                for record in fetched:
                    rows.append(to_json(record))
                    size += len(json.dumps(rows[-1]))
        if size > _MOST_ANSWER_BYTES:
            raise _too_long("select fewer columns, or set row_limit")
        return {
            "columns": columns,
            "rows": rows[:row_limit],
            "row_count": min(len(rows), row_limit),
            "truncated": len(rows) > row_limit,
        }

    async def _execute(
        self, sql: str, sets: Sequence[Sequence[Any]], name: str, timeout_seconds: float, *, named: bool
    ) -> dict[str, object]:
        affected = 0
        async with self._databases.open(name, timeout_seconds=timeout_seconds) as connection, connection.transaction():
            statement = await connection.prepare(sql)
            for number, values in enumerate(sets):
                place = f"parameter_sets[{number}]" if named else "parameters"
                await statement.fetch(*_arguments(statement, values, place))
                affected += _count(statement.get_statusmsg())
        return {"rows_affected": affected, "executions": len(sets)}

    async def _copy_in(
        self, table: copying.Table, rows: copying.Rows, name: str, timeout_seconds: float
    ) -> dict[str, object]:
        async with self._databases.open(name, timeout_seconds=timeout_seconds) as connection, connection.transaction():
            try:
                status = await rows.load(connection, table)
            except asyncpg.PostgresError as error:
                raise rows.misplaced(error) from None
        return {"rows": _count(status)}

    async def _copy_out(
        self, sql: str, values: Sequence[Any], csv: dict[str, Any] | None, name: str, timeout_seconds: float
    ) -> dict[str, object]:
        taken: copying.Taken | None = None
        try:
            async with (
                self._databases.open(name, timeout_seconds=timeout_seconds, read_only=True) as connection,
                connection.transaction(readonly=True),
            ):
                # It must be one whole statement by itself, for it is put between brackets.
                statement = await connection.prepare(sql)
                _check_rows_come(statement)
                taken = copying.Taken(_MOST_ANSWER_BYTES, connection.terminate)
                status = await copying.unload(connection, sql, _arguments(statement, values), csv, taken.take)
        except OperationFailed:
            if taken is not None and taken.too_much:
                raise _too_long("select less") from None
            raise
        text = taken.text()
        # The answer is JSON itself, in which some characters are longer.
        if len(json.dumps(text)) > _MOST_ANSWER_BYTES:
            raise _too_long("select less")
        return {"text": text, "rows": _count(status)}


def _check_rows_come(statement: Any) -> None:
    if not statement.get_attributes():
        raise OperationFailed("the statement gives no rows")


def _too_long(what_to_do: str) -> OperationFailed:
    return OperationFailed(f"the rows are longer than {_MOST_ANSWER_BYTES >> 20} MB; {what_to_do}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _arguments(statement: Any, values: Sequence[Any], place: str = "parameters") -> list[Any]:
    kinds = [each.name for each in statement.get_parameters()]
    if len(values) != len(kinds):
        raise OperationFailed(f"{place}: the statement takes {len(kinds)} parameters, not {len(values)}")
    arguments = []
    for index, (value, kind) in enumerate(zip(values, kinds, strict=True)):
        try:
            arguments.append(to_postgres(value, kind))
        except ValueError as error:
            raise OperationFailed(f"{place}[{index}] {error}", parameter=index + 1) from None
    return arguments


def _check_columns(names: Sequence[str]) -> None:
    if not names:
        raise OperationFailed("the statement gives no rows; run it with execute")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise OperationFailed(f"two columns are called '{name}'; name one of them with AS", column=name)


def _count(status: str | None) -> int:
    """Take the number at the end of what PostgreSQL says, such as INSERT 0 3; 0 if there is none."""
    last = (status or "").rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0
