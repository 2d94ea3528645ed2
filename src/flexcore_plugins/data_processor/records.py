"""Records of JSON, one at a time, and their columns: NDJSON, one JSON array, or the parameters themselves."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import pyarrow as pa

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_processor.columns import cast

LONGEST_LINE: Final = 16 << 20
MOST_DOCUMENT: Final = 64 << 20
WINDOW_RECORDS: Final = 1 << 20
WINDOW_BYTES: Final = 10 << 20
"""The types of columns are those of the first window; all that fits into a request is in one."""

_SPACE = re.compile(r"[ \t\r\n]*")
_KINDS: Final[Mapping[type, str]] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Row:
    """One record: where it stands ("line 3", "record 3"), its number, and about how many bytes it was."""

    place: str
    number: int
    size: int
    values: dict[str, Any]


def of_lines(stream: BinaryIO) -> Iterator[Row]:
    """Read NDJSON; empty lines are skipped."""
    number = line_number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        line_number += 1
        if len(line) > LONGEST_LINE:
            raise OperationFailed(f"line {line_number} is longer than {LONGEST_LINE} bytes", line=line_number)
        if line.isspace():
            continue
        number += 1
        try:
            values = _decoder.decode(line.decode())
        except json.JSONDecodeError as error:
            raise OperationFailed(
                f"line {line_number}, character {error.colno}: {error.msg}", line=line_number, character=error.colno
            ) from None
        except UnicodeDecodeError as error:
            raise OperationFailed(
                f"line {line_number}, byte {error.start + 1} is not UTF-8", line=line_number
            ) from None
        except (ValueError, RecursionError) as error:
            raise OperationFailed(f"line {line_number}: {error}", line=line_number) from None
        yield Row(f"line {line_number}", number, len(line), _object(values, f"line {line_number}"))


def of_document(stream: BinaryIO) -> Iterator[Row]:
    """Read a JSON array of objects, one at a time; the text itself is in memory, so it is bounded."""
    raw = stream.read(MOST_DOCUMENT + 1)
    if len(raw) > MOST_DOCUMENT:
        raise OperationFailed(
            f"the document is longer than {MOST_DOCUMENT >> 20} MB; give it as NDJSON, which has no end"
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise OperationFailed(f"byte {error.start + 1} of the document is not UTF-8") from None
    del raw
    try:
        yield from _items(text)
    except json.JSONDecodeError as error:
        raise OperationFailed(
            f"line {error.lineno}, character {error.colno}: {error.msg}", line=error.lineno, character=error.colno
        ) from None
    except (ValueError, RecursionError) as error:
        raise OperationFailed(f"the document cannot be read: {error}") from None


def _items(text: str) -> Iterator[Row]:
    position = _after_space(text, 0)
    if text[position : position + 1] != "[":
        raise json.JSONDecodeError("the document must be an array of objects", text, position)
    position, number = _after_space(text, position + 1), 0
    if text[position : position + 1] == "]":
        _must_end(text, position + 1)
        return
    while True:
        number += 1
        values, end = _decoder.raw_decode(text, position)
        yield Row(f"record {number}", number, end - position, _object(values, f"record {number}"))
        position = _after_space(text, end)
        if text[position : position + 1] == "]":
            _must_end(text, position + 1)
            return
        if text[position : position + 1] != ",":
            raise json.JSONDecodeError("expected ',' or ']'", text, position)
        position = _after_space(text, position + 1)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _must_end(text: str, position: int) -> None:
    if (rest := _after_space(text, position)) != len(text):
        raise json.JSONDecodeError("there is something after the array", text, rest)


def of_parameters(records: Sequence[Any]) -> Iterator[Row]:
    """Take the records of a request."""
    for number, values in enumerate(records, 1):
        yield Row(f"record {number}", number, 64 * len(values), values)


def _object(values: Any, place: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise OperationFailed(f"{place} is not an object but {_KINDS.get(type(values), 'null')}")
    return values


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON value")


_decoder = json.JSONDecoder(parse_constant=_refuse)


@dataclass
class _Column:
    """The values of one column in a window, and where each kind of them first appeared."""

    values: list[Any] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    has_fractions: bool = False


def batches(rows: Iterator[Row], types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Put records into batches of columns, at least one, all with the columns and types of the first."""
    schema: pa.Schema | None = None
    ended = False
    first_row = 1
    while not ended:
        columns: dict[str, _Column] = {name: _Column() for name in (schema.names if schema else ())}
        count, ended = _fill(columns, rows, schema)
        if schema is not None and count == 0:
            return
        arrays = {name: _array(column, name, types, schema, first_row) for name, column in columns.items()}
        if schema is None:
            schema = pa.schema([pa.field(name, array.type) for name, array in arrays.items()])
        yield pa.RecordBatch.from_arrays(list(arrays.values()), schema=schema)
        first_row += count


def _fill(columns: dict[str, _Column], rows: Iterator[Row], schema: pa.Schema | None) -> tuple[int, bool]:
    """Take a window of records; gives how many they are, and whether they were the last."""
    count = size = 0
    for row in rows:
        for name, value in row.values.items():
            column = columns.get(name)
            if column is None:
                if schema is not None:
                    raise OperationFailed(
                        f"{row.place} has a column '{name}', which no record in the first {WINDOW_BYTES >> 20} MB has",
                        row=row.number,
                        column=name,
                    )
                column = columns[name] = _Column([None] * count)
            column.values.append(value)
            if value is not None:
                column.kinds.setdefault(_KINDS[type(value)], row.place)
                column.has_fractions = column.has_fractions or type(value) is float
        count += 1
        for column in columns.values():
            if len(column.values) < count:
                column.values.append(None)
        size += row.size
        if size >= WINDOW_BYTES or count >= WINDOW_RECORDS:
            return count, False
    return count, True


def _array(
    column: _Column, name: str, types: Mapping[str, pa.DataType], schema: pa.Schema | None, first_row: int
) -> pa.Array:
    if name in types:
        return cast(pa.array(map(_text, column.values), pa.string()), types[name], name, first_row)
    if len(column.kinds) > 1:
        (kind, place), (other, other_place) = list(column.kinds.items())[:2]
        raise OperationFailed(
            f"column '{name}': {place} has {kind} and {other_place} has {other}; give it one type, such as "
            f'{{"{name}": "string"}}',
            column=name,
        )
    try:
        values = pa.array(column.values, None if schema is None else schema.field(name).type)
        if schema is None and column.has_fractions:
            values = values.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise OperationFailed(
            f"column '{name}': {_first_line(error)}. Give it a type under types, such as string", column=name
        ) from None
    return values


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
