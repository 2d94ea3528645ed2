"""Types of columns by the names that callers use, and casts that name the row that does not fit."""

import base64
import binascii
import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from flexcore_plugin import OperationFailed
from flexcore_plugins.data_processor.values import encoded_bytes, plain

_TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
TYPES: Final[Mapping[str, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": _TIMESTAMP,
    "binary": pa.binary(),
}
_DECIMAL = re.compile(r"decimal\(([0-9]{1,2}),([0-9]{1,2})\)")
_MOST_DIGITS: Final = 38


def type_called(name: str) -> pa.DataType:
    """Find the type of this name: one of TYPES, or decimal(18,4); raises OperationFailed if there is none."""
    if name in TYPES:
        return TYPES[name]
    if (match := _DECIMAL.fullmatch(name)) and 1 <= int(match[1]) <= _MOST_DIGITS and int(match[2]) <= int(match[1]):
        return pa.decimal128(int(match[1]), int(match[2]))
    raise OperationFailed(
        f"'{name}' is not a type; there are {', '.join(TYPES)}, and decimal(digits,decimals) up to "
        f"decimal({_MOST_DIGITS},{_MOST_DIGITS})"
    )


def name_of(kind: pa.DataType) -> str:
    """Name a type as callers do, or as Arrow does where they have no name for it."""
    for name, each in TYPES.items():
        if kind == each:
            return name
    return f"decimal({kind.precision},{kind.scale})" if pa.types.is_decimal128(kind) else str(kind)


def check_names(wanted: Iterable[str], present: Iterable[str]) -> None:
    """Raise OperationFailed for a wanted column that is not present, or for one that is there twice."""
    names = list(present)
    for name in wanted:
        if name not in names:
            likely = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '{likely[0]}'?" if likely else f"there are: {', '.join(names[:20])}"
            raise OperationFailed(f"there is no column '{name}'; {hint}", column=name)
    if len(set(names)) != len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise OperationFailed(f"two columns are called '{twice}'; give them different names", column=twice)


def cast(values: pa.Array, kind: pa.DataType, column: str, first_row: int) -> pa.Array:
    """Cast a column; raises OperationFailed naming the first row that does not fit. Rows count from `first_row`."""
    if values.type == kind:
        return values
    try:
        return _cast(values, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, binascii.Error) as error:
        for index in range(len(values)):
            try:
                _cast(values.slice(index, 1), kind)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, binascii.Error):
                shown = str(values[index].as_py())[:60]
                raise OperationFailed(
                    f"row {first_row + index}, column '{column}': '{shown}' is not of the type {name_of(kind)}",
                    row=first_row + index,
                    column=column,
                ) from None
        raise OperationFailed(
            f"column '{column}' cannot be of the type {name_of(kind)}: {error}", column=column
        ) from None


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    is_text = pa.types.is_string(values.type)
    if pa.types.is_binary(kind) and is_text:
        decoded = [None if text is None else base64.b64decode(text, validate=True) for text in values.to_pylist()]
        return pa.array(decoded, kind)
    if pa.types.is_string(kind) and (pa.types.is_nested(values.type) or pa.types.is_binary(values.type)):
        return pa.array([None if item is None else _text(item) for item in values.to_pylist()], kind)
    if kind == _TIMESTAMP and is_text:
        # Of a column, all times have a zone, or none has and they are in UTC.
        try:
            return pc.cast(values, kind)
        except pa.ArrowInvalid:
            return pc.assume_timezone(pc.cast(values, pa.timestamp("us")), "UTC")
    if kind == _TIMESTAMP and pa.types.is_timestamp(values.type) and values.type.tz is None:
        return pc.assume_timezone(pc.cast(values, pa.timestamp("us")), "UTC")
    return pc.cast(values, kind)


def _text(value: Any) -> str:
    """Write a list, an object or bytes as text."""
    return encoded_bytes(value) if isinstance(value, bytes) else json.dumps(plain(value), ensure_ascii=False)
