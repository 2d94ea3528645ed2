"""JSON values: what they are called in messages, and how they group."""

import json
from typing import Any

_LONGEST_SHOWN = 60
_NAMES: tuple[tuple[type, str], ...] = (
    (type(None), "null"),
    (bool, "the boolean"),
    (int, "the number"),
    (float, "the number"),
    (str, "the string"),
    (list, "the list"),
    (dict, "the object"),
)


def is_number(value: Any) -> bool:
    """Whether it is a JSON number; to Python true is one too."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def type_name(value: Any) -> str:
    """Name the kind of a value in a sentence, such as "the string"."""
    return next(name for kind, name in _NAMES if isinstance(value, kind))


def shown(value: Any) -> str:
    """Write a value as JSON for a message, cut to 60 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def key(value: Any) -> Any:
    """Give something hashable that is alike for equal values only: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list):
        return (list, tuple(map(key, value)))
    if isinstance(value, dict):
        return (dict, frozenset((name, key(item)) for name, item in value.items()))
    return value
