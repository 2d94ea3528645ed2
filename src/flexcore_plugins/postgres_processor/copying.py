"""COPY: rows of CSV or NDJSON into a table, and rows of a query out of the database."""

import base64
import binascii
import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from flexcore_plugin import OperationFailed
from flexcore_plugins.postgres_processor.connections import refused

# PostgreSQL says where it stopped: `COPY items, line 2, column price: "abc"`.
_PLACE = re.compile(r"COPY .*?, line (\d+)(?:, column (.+?))?(?:: |$)")
# What JSON has nowhere in its text, so that nothing of it is ever quoted.
_NOT_IN_JSON: Final = {"quote": "\x01", "delimiter": "\x02"}
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True)
class Table:
    """A table by its name, which is always quoted; without a schema, the search path decides."""

    schema: str | None
    name: str

    def selected(self, columns: Sequence[str] | None) -> str:
        """Write a query of columns, all if None."""
        names = "*" if columns is None else ", ".join(map(quoted, columns))
        return f"SELECT {names} FROM {self.quoted()}"  # noqa: S608 - every name in it is quoted

    def quoted(self) -> str:
        """Write the name for a statement."""
        return quoted(self.name) if self.schema is None else f"{quoted(self.schema)}.{quoted(self.name)}"


def quoted(name: str) -> str:
    """Quote an identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


class Rows(ABC):
    """Rows to load."""

    @abstractmethod
    async def load(self, connection: asyncpg.Connection, table: Table) -> str:
        """Load the rows, and return what PostgreSQL says at the end."""

    @abstractmethod
    def line(self, number: int) -> int:
        """Tell which line of the text PostgreSQL means."""

    def misplaced(self, error: asyncpg.PostgresError) -> OperationFailed:
        """Give an error of PostgreSQL the place in the text, if it has one."""
        match = _PLACE.match(getattr(error, "context", None) or "")
        if match is None:
            return refused(error)
        line = self.line(int(match[1]))
        place = f"line {line}" if match[2] is None else f"line {line}, column '{match[2]}'"
        return OperationFailed(f"{place}: {error}", line=line, sqlstate=error.sqlstate)


def rows_of(kind: str, text: str, *, columns: Sequence[str] | None, header: bool, delimiter: str, null: str) -> Rows:
    """Take rows from CSV or NDJSON; raises OperationFailed for what cannot be read as that."""
    if kind == "ndjson":
        return _JsonRows(text, columns)
    names = columns
    if header:
        # The names in the file, not the order of the table, say what goes where.
        first = next(csv.reader(io.StringIO(text), delimiter=delimiter), None)
        if not first:
            raise OperationFailed("the CSV has no first line with the names of the columns", line=1)
        if columns is not None and len(columns) != len(first):
            raise OperationFailed(f"the CSV has {len(first)} columns, not {len(columns)}", line=1)
        names = columns or first
    return _CsvRows(text, names, {"format": "csv", "header": header, "delimiter": delimiter, "null": null})


@dataclass(frozen=True)
class _CsvRows(Rows):
    text: str
    columns: Sequence[str] | None
    options: Mapping[str, Any]

    async def load(self, connection: asyncpg.Connection, table: Table) -> str:
        status: str = await connection.copy_to_table(
            table.name,
            source=io.BytesIO(self.text.encode()),
            schema_name=table.schema,
            columns=self.columns,
            **self.options,
        )
        return status

    def line(self, number: int) -> int:
        return number


class _JsonRows(Rows):
    def __init__(self, text: str, columns: Sequence[str] | None) -> None:
        self._records: list[dict[str, Any]] = []
        self._lines: list[int] = []
        names: dict[str, None] = dict.fromkeys(columns or ())
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                record = _record(line, number)
                if columns is None:
                    names.update(dict.fromkeys(record))
                elif unknown := next((name for name in record if name not in names), None):
                    raise OperationFailed(f"line {number} has '{unknown}', which is not among the columns", line=number)
                self._records.append(record)
                self._lines.append(number)
        self._columns = list(names)

    async def load(self, connection: asyncpg.Connection, table: Table) -> str:
        if not self._records:
            return "COPY 0"
        statement = await connection.prepare(f"{table.selected(self._columns)} LIMIT 0")
        kinds = [each.type.name for each in statement.get_attributes()]
        buffer = io.BytesIO()
        for record, line in zip(self._records, self._lines, strict=True):
            fields = (
                _field(record.get(name), kind, line, name) for name, kind in zip(self._columns, kinds, strict=True)
            )
            buffer.write(("\t".join(fields) + "\n").encode())
        buffer.seek(0)
        status: str = await connection.copy_to_table(
            table.name, source=buffer, schema_name=table.schema, columns=self._columns, format="text"
        )
        return status

    def line(self, number: int) -> int:
        return self._lines[number - 1] if 0 < number <= len(self._lines) else number


def _record(line: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise OperationFailed(f"line {number}, character {error.colno}: {error.msg}", line=number) from None
    except (ValueError, RecursionError) as error:
        raise OperationFailed(f"line {number}: {error}", line=number) from None
    if not isinstance(record, dict):
        raise OperationFailed(f"line {number} is not an object", line=number)
    return record


class _Number(str):
    """A number as it was written, for PostgreSQL to read: no digit gets lost on the way."""

    __slots__ = ()


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON value")


def _field(value: Any, kind: str, line: int, name: str) -> str:
    """Write a value in COPY's text format."""
    if value is None:
        return r"\N"
    try:
        if kind in ("json", "jsonb"):
            text = _json(value)
        elif kind == "bytea":
            text = "\\x" + base64.b64decode(value, validate=True).hex()
        elif kind.endswith("[]") and isinstance(value, list):
            text = _array(value)
        else:
            text = _scalar(value)
    except (ValueError, TypeError, binascii.Error):
        raise OperationFailed(f"line {line}, column '{name}': the value is no {kind}", line=line) from None
    return text.translate(_ESCAPES)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else _json(value)


def _array(values: Sequence[Any]) -> str:
    return "{" + ",".join(map(_item, values)) + "}"


def _item(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array(value)
    escaped = _scalar(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _json(value: Any) -> str:
    """Write JSON with its numbers as they were."""
    match value:
        case _Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_json(item)}" for name, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


class Taken:
    """Collects what comes out, up to a limit; beyond it, it calls `stop` and drops the rest."""

    def __init__(self, most_bytes: int, stop: Callable[[], None]) -> None:
        self._most = most_bytes
        self._stop = stop
        self._buffer = bytearray()
        self.too_much = False

    async def take(self, data: bytes) -> None:
        """Take a part. It must not raise: the driver would wait for the rest for ever."""
        if self.too_much:
            return
        self._buffer += data
        if len(self._buffer) > self._most:
            self.too_much = True
            self._buffer.clear()
            self._stop()

    def text(self) -> str:
        """Return all of it."""
        return self._buffer.decode()


async def unload(
    connection: asyncpg.Connection,
    sql: str,
    arguments: Sequence[Any],
    csv_options: Mapping[str, Any] | None,
    take: Callable[[bytes], Awaitable[None]],
) -> str:
    """Hand the rows of a query on as CSV, or as NDJSON for None, and return what PostgreSQL says at the end."""
    query = sql.strip().rstrip(";")
    options: dict[str, Any] = dict(csv_options or _NOT_IN_JSON)
    if csv_options is None:
        # A line break between its parts, which the type json keeps, is as good as a space.
        query = f"SELECT translate(row_to_json(q)::text, E'\\n\\r', '  ') FROM (\n{query}\n) AS q"  # noqa: S608 - checked
    status: str = await connection.copy_from_query(f"{query}\n", *arguments, output=take, format="csv", **options)
    return status
