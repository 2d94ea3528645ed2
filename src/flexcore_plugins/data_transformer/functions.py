"""The functions of an expression. Each takes and gives JSON values; null in gives null, but where it says otherwise."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flexcore_plugins.data_transformer.casts import CASTS
from flexcore_plugins.data_transformer.values import is_number, shown, type_name

_MOST_ARGUMENTS = 50


@dataclass(frozen=True)
class Function:
    """One function; `arguments` are how many it takes, fewest and most. It raises TypeError or ValueError to refuse."""

    call: Callable[..., Any]
    arguments: tuple[int, int]
    meaning: str

    def signature(self) -> str:
        """Say how many arguments it takes."""
        fewest, most = self.arguments
        if fewest == most:
            return f"{fewest} argument{'' if fewest == 1 else 's'}"
        return f"{fewest} to {most} arguments"


def _text(function: Callable[..., Any]) -> Callable[..., Any]:
    return _of(str, "a string", function)


def _number(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(first: Any, *rest: Any) -> Any:
        for value in (first, *rest):
            if value is not None and not is_number(value):
                raise TypeError(f"it takes numbers, not {type_name(value)} {shown(value)}")
        return None if first is None else function(first, *rest)

    return checked


def _of(kind: type, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(first: Any, *rest: Any) -> Any:
        if first is None:
            return None
        if not isinstance(first, kind):
            raise TypeError(f"it takes {name}, not {type_name(first)} {shown(first)}")
        return function(first, *rest)

    return checked


def _length(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, (str, list, dict)):
        raise TypeError(f"it takes a string, a list or an object, not {type_name(value)} {shown(value)}")
    return len(value)


def _contains(text: str, part: Any) -> bool:
    return _string(part) in text


def _replace(text: str, old: Any, new: Any) -> str:
    if not old:
        raise ValueError("what to replace must not be empty")
    return text.replace(_string(old), _string(new))


def _substring(text: str, start: Any, length: Any = None) -> str:
    if not isinstance(start, int) or start < 0 or (length is not None and (not isinstance(length, int) or length < 0)):
        raise ValueError("start and length must be whole numbers from 0 on")
    return text[start:] if length is None else text[start : start + length]


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"it takes a string, not {type_name(value)} {shown(value)}")
    return value


def _round(value: float, digits: Any = 0) -> float:
    if not isinstance(digits, int) or not -15 <= digits <= 15:
        raise ValueError("the digits must be a whole number from -15 to 15")
    return round(value, digits) if digits else round(value)


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def chosen(*values: Any) -> Any:
        known = [value for value in values if value is not None]
        if not (all(map(is_number, known)) or all(isinstance(value, str) for value in known)):
            raise TypeError("it takes numbers alone or strings alone")
        return choose(known) if known else None

    return chosen


FUNCTIONS: Mapping[str, Function] = {
    "lower": Function(_text(str.lower), (1, 1), "text in lower case"),
    "upper": Function(_text(str.upper), (1, 1), "text in upper case"),
    "trim": Function(_text(str.strip), (1, 1), "text without white space at both ends"),
    "length": Function(_length, (1, 1), "how long a string, list or object is"),
    "contains": Function(_text(_contains), (2, 2), "whether a text has another in it"),
    "starts_with": Function(_text(lambda text, part: text.startswith(_string(part))), (2, 2), "how a text begins"),
    "ends_with": Function(_text(lambda text, part: text.endswith(_string(part))), (2, 2), "how a text ends"),
    "replace": Function(_text(_replace), (3, 3), "text with one part replaced by another, everywhere"),
    "substring": Function(_text(_substring), (2, 3), "part of a text: from where, counted from 0, and how long"),
    "split": Function(_text(lambda text, by: text.split(_string(by))), (2, 2), "list of the parts between a separator"),
    "join": Function(
        _of(list, "a list", lambda parts, by: _string(by).join(map(_string, parts))),
        (2, 2),
        "list put together to a text",
    ),
    "abs": Function(_number(abs), (1, 1), "number without its sign"),
    "round": Function(_number(_round), (1, 2), "number rounded to some decimals, or to a whole one"),
    "floor": Function(_number(math.floor), (1, 1), "next whole number below"),
    "ceil": Function(_number(math.ceil), (1, 1), "next whole number above"),
    "min": Function(_extreme(min), (1, _MOST_ARGUMENTS), "smallest of its arguments that is not null"),
    "max": Function(_extreme(max), (1, _MOST_ARGUMENTS), "largest of its arguments that is not null"),
    "coalesce": Function(_coalesce, (1, _MOST_ARGUMENTS), "first of its arguments that is not null"),
    **{name: Function(cast, (1, 1), f"the value cast to {name}") for name, cast in CASTS.items()},
}
