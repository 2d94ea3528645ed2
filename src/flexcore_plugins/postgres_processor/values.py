"""Values between JSON and PostgreSQL.

What JSON has not goes as a string: numeric in full precision, times in ISO 8601 (in UTC where they have a zone), bytea
as base64, uuid and addresses as they are written. Intervals are seconds, ranges and composites objects.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import asyncpg


def to_postgres(value: Any, kind: str) -> Any:
    """Turn a JSON value into what asyncpg takes for a parameter of the type `kind`, such as int4 or text[].

    Raises ValueError saying what it must be.
    """
    if value is None:
        return None
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise ValueError(f"must be an array for the type {kind}")
        # A dimension more is the same type to PostgreSQL.
        return [to_postgres(item, kind if isinstance(item, list) else kind[:-2]) for item in value]
    if kind in ("json", "jsonb"):
        return value
    converter = _TO_POSTGRES.get(kind)
    if converter is not None:
        what, convert = converter
        try:
            return convert(value)
        except (ValueError, TypeError, InvalidOperation, binascii.Error, OverflowError):
            raise ValueError(f"must be {what} for the type {kind}") from None
    if isinstance(value, str):
        return value
    raise ValueError(f"must be a string for the type {kind}")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    number = _number(value)
    if int(number) != number:
        raise ValueError
    return int(number)


def _decimal(value: Any) -> Decimal:
    return Decimal(value) if isinstance(value, str) else Decimal(repr(_number(value)))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _with_zone(value: Any) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _without_zone(value: Any) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is not None:
        raise ValueError
    return moment


_INTEGER: Final = ("a whole number", _whole)
_FLOAT: Final = ("a number", _number)
_STRING: Final = ("a string", _text)
_TO_POSTGRES: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "int2": _INTEGER,
    "int4": _INTEGER,
    "int8": _INTEGER,
    "oid": _INTEGER,
    "float4": _FLOAT,
    "float8": _FLOAT,
    "numeric": ("a number, or a string of one", _decimal),
    "bool": ("true or false", _boolean),
    "text": _STRING,
    "varchar": _STRING,
    "bpchar": _STRING,
    "name": _STRING,
    "bytea": ("base64", lambda value: base64.b64decode(_text(value), validate=True)),
    "uuid": ("a UUID", lambda value: UUID(_text(value))),
    "date": ("a date such as 2024-01-31", lambda value: date.fromisoformat(_text(value))),
    "time": ("a time such as 12:30:00", lambda value: time.fromisoformat(_text(value))),
    "timetz": ("a time such as 12:30:00+02:00", lambda value: time.fromisoformat(_text(value))),
    "timestamp": ("a time without a zone, such as 2024-01-31T12:30:00", _without_zone),
    "timestamptz": ("a time such as 2024-01-31T12:30:00Z", _with_zone),
    "interval": ("a number of seconds", lambda value: timedelta(seconds=_number(value))),
}


def to_json(value: Any) -> Any:
    """Turn what asyncpg gives into a JSON value."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # JSON has no such number, and null would be another value.
            return value if math.isfinite(value) else str(value)
        case datetime():
            moment = value if value.tzinfo is None else value.astimezone(UTC)
            return moment.isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {name: to_json(item) for name, item in value.items()}
        case asyncpg.Record():
            return {name: to_json(item) for name, item in value.items()}
        case asyncpg.Range():
            return _range(value)
        case asyncpg.BitString():
            return value.as_string()
        case list() | tuple() | set():
            return [to_json(item) for item in value]
        case _:
            return str(value)


def _range(value: asyncpg.Range) -> dict[str, Any]:
    if value.isempty:
        return {"empty": True}
    return {
        "lower": to_json(value.lower),
        "upper": to_json(value.upper),
        "lower_included": value.lower_inc,
        "upper_included": value.upper_inc,
    }
