"""Casts of JSON values, strict: what would lose something raises ValueError and says why. null stays null."""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any

from flexcore_plugins.data_transformer.values import is_number, shown, type_name

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,400}\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Cast = Callable[[Any], Any]


def _keeps_null(cast: Cast) -> Cast:
    @wraps(cast)
    def of(value: Any) -> Any:
        return None if value is None else cast(value)

    return of


def _refused(value: Any, wanted: str) -> ValueError:
    return ValueError(f"{type_name(value)} {shown(value)} is not {wanted}")


@_keeps_null
def to_integer(value: Any) -> int:
    """Cast whole numbers, true and false, and the digits of a whole number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):  # a boolean too
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise _refused(value, "a whole number")


@_keeps_null
def to_number(value: Any) -> float:
    """Cast numbers, true and false, and the text of a number; whole numbers stay whole."""
    if is_number(value) or isinstance(value, bool):
        return int(value) if isinstance(value, bool) else value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(number := float(value)):
        return number
    raise _refused(value, "a number")


@_keeps_null
def to_string(value: Any) -> str:
    """Cast anything: a string stays, the rest is written as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@_keeps_null
def to_boolean(value: Any) -> bool:
    """Cast 1 and 0, and the words true, false, yes and no."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else str(value) if is_number(value) else ""
    if word in _BOOLEANS:
        return _BOOLEANS[word]
    raise _refused(value, "true or false")


@_keeps_null
def to_date(value: Any) -> str:
    """Cast an ISO 8601 date, or time, of which the date stays, to YYYY-MM-DD."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip()).date().isoformat()
        except ValueError:
            pass
    raise _refused(value, "a date in ISO 8601, such as 2024-01-31; name its format otherwise")


@_keeps_null
def to_timestamp(value: Any) -> str:
    """Cast an ISO 8601 time, or seconds since 1970, to RFC 3339 in UTC; a time without a zone is one in UTC."""
    try:
        if is_number(value):
            return _rfc_3339(datetime.fromtimestamp(value, UTC))
        if isinstance(value, str):
            return _rfc_3339(datetime.fromisoformat(value.strip()))
    except (ValueError, OverflowError, OSError):
        pass
    raise _refused(value, "a time in ISO 8601, such as 2024-01-31T12:00:00Z; name its format otherwise")


def _rfc_3339(moment: datetime) -> str:
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


CASTS: Mapping[str, Cast] = {
    "string": to_string,
    "integer": to_integer,
    "number": to_number,
    "boolean": to_boolean,
    "date": to_date,
    "timestamp": to_timestamp,
}
_FORMATTED: Mapping[str, Callable[[datetime], str]] = {
    "date": lambda moment: date.isoformat(moment.date()),
    "timestamp": _rfc_3339,
}


def cast_to(kind: str, pattern: str | None) -> Cast:
    """Find the cast to `kind`; with `pattern`, as strptime has it, for dates and times that are not ISO 8601.

    Raises ValueError if there is none.
    """
    if kind not in CASTS:
        raise ValueError(f"'{kind}' is not a type; there are: {', '.join(CASTS)}")
    if pattern is None:
        return CASTS[kind]
    if kind not in _FORMATTED:
        raise ValueError(f"a format belongs to a date or a timestamp, not to the type {kind}")
    write = _FORMATTED[kind]

    @_keeps_null
    def parsed(value: Any) -> str:
        if not isinstance(value, str):
            raise _refused(value, f"a string like {pattern}")
        try:
            return write(datetime.strptime(value.strip(), pattern))
        except ValueError:
            raise _refused(value, f"of the format {pattern}") from None

    return parsed
