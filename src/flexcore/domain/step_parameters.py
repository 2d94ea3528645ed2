"""Parameters of a step that are only known at run time.

They stand as `{"$from": "steps.<id>.<path>"}` or `{"$from": "parameters.<path>"}`. A path goes into objects by their
members and into arrays by their indexes, with dots between. A `default` beside `$from` stands in for what is not there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

KEY: Final = "$from"
DEFAULT: Final = "default"
STEPS: Final = "steps"
PARAMETERS: Final = "parameters"


class NotResolvedError(Exception):
    """A reference leads nowhere; the text is a sentence that says which and why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One place to take a value from: the result of `step`, or for None the parameters of the run."""

    step: str | None
    path: tuple[str, ...]
    text: str
    default: Any = None
    has_default: bool = False


def is_reference(value: Any) -> bool:
    """Whether `value` stands for another one."""
    return isinstance(value, Mapping) and KEY in value


def references(value: Any, place: str = "") -> Iterator[tuple[str, Reference | str]]:
    """Find every reference in `value`, with its place: the reference, or a text that says what is wrong with it."""
    if is_reference(value):
        yield place, _parse(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from references(item, f"{place}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from references(item, f"{place}[{index}]")


def reference_places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Find where in `value` there are references."""
    if is_reference(value):
        yield place
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from reference_places(item, (*place, name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from reference_places(item, (*place, index))


def resolve(value: Any, parameters: Mapping[str, Any], results: Mapping[str, Any]) -> Any:
    """Return `value` with every reference replaced; `results` holds those of the steps that have one.

    Raises NotResolvedError.
    """
    if is_reference(value):
        reference = _parse(value)
        if isinstance(reference, str):
            raise NotResolvedError(f"{value[KEY]!r} {reference}")
        return _look_up(reference, parameters, results)
    if isinstance(value, Mapping):
        return {name: resolve(item, parameters, results) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, parameters, results) for item in value]
    return value


def _parse(value: Mapping[str, Any]) -> Reference | str:
    text = value[KEY]
    if not value.keys() <= {KEY, DEFAULT}:
        return f"may have nothing but '{DEFAULT}' beside '{KEY}'"
    if not isinstance(text, str):
        return "must be a text"
    root, *path = text.split(".")
    default = {"default": value[DEFAULT], "has_default": True} if DEFAULT in value else {}
    if all(path):
        if root == PARAMETERS:
            return Reference(None, tuple(path), text, **default)
        if root == STEPS and path:
            return Reference(path[0], tuple(path[1:]), text, **default)
    return f"must be '{STEPS}.<step>', '{STEPS}.<step>.<path>' or '{PARAMETERS}.<path>'"


def _look_up(reference: Reference, parameters: Mapping[str, Any], results: Mapping[str, Any]) -> Any:
    if reference.step is None:
        found, path = parameters, reference.path
    else:
        found, path = results, (reference.step, *reference.path)
    for name in path:
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, (list, tuple)) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif reference.has_default:
            return reference.default
        else:
            raise NotResolvedError(f"'{reference.text}' leads nowhere: there is no '{name}'")
    return found
