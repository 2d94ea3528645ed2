"""Judges parameters by JSON Schema, in time that grows with the schema and the parameters and not faster.

Schemas are written by plugins' authors, so what could hang or crash the server is no valid schema here: patterns are
matched by an engine without backtracking, references stay in the schema, and one that leads back to itself, or that
unfolds to more than a bounded number of parts, is refused.
"""

import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import jsonschema_rs as json_schema
from jsonschema_rs import ValidationErrorKind as Kind

from flexcore.domain.errors import FieldError
from flexcore.domain.manifest import Place

MOST_PARTS: Final = 4096
DEEPEST: Final = 48
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = re.compile(r"#/\$defs/([A-Za-z0-9_.-]+)")
# They would let a reference mean something that is not seen where it stands.
_REFUSED: Final = frozenset({"$id", "$anchor", "$dynamicRef", "$dynamicAnchor"})
_MOST_ERRORS: Final = 20
# Of a value that is not known yet, these can be said all the same: they look at names and numbers, not at values.
_SEEN_FROM_OUTSIDE: Final = (
    *(Kind.Required, Kind.AdditionalProperties, Kind.Type, Kind.PropertyNames),
    *(Kind.MinItems, Kind.MaxItems, Kind.MinProperties, Kind.MaxProperties),
)


class JsonSchemaRules:
    """The port ParameterRules, and what makes a schema a valid one."""

    def problems(
        self, schema: Mapping[str, Any], data: Mapping[str, Any], later: Collection[Place] = ()
    ) -> list[FieldError]:
        """Say what is wrong with `data`, at most twenty things; `schema` is one that `schema_problems` found none of.

        `later` are places whose values are not known yet: nothing that depends on them is wrong.
        """
        found: list[FieldError] = []
        try:
            for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(data):
                if not _depends(error, later):
                    found.extend(_worded(error, schema))
                if len(found) >= _MOST_ERRORS:
                    break
        except ValueError:
            # The library's own bound on depth.
            return [FieldError("", "is nested too deeply, or holds a number that is too long")]
        return found

    def schema_problems(self, schema: Any) -> list[FieldError]:
        """Say why `schema` can't describe a command's parameters; fields are named from its top."""
        if not isinstance(schema, Mapping):
            return [FieldError("", "must be a JSON Schema, which is an object")]
        if schema.get("type", "object") != "object":
            return [FieldError("type", "must be object, for parameters have names")]
        if problems := list(_unbounded(schema)):
            return problems
        try:
            _validator(json.dumps(schema, sort_keys=True))
        except json_schema.ValidationError as error:
            return [FieldError(_name(error.instance_path), f"is no valid JSON Schema: {error.message}")]
        except (TypeError, ValueError) as error:
            return [FieldError("", f"is no valid JSON Schema: {error}")]
        return []


@functools.lru_cache(maxsize=512)
def _validator(schema: str) -> json_schema.Validator:
    document = {"$schema": _DIALECT, **json.loads(schema)}
    return json_schema.validator_for(document, offline=True, pattern_options=json_schema.RegexOptions())


def _unbounded(schema: Mapping[str, Any]) -> Iterator[FieldError]:
    """Unfold the schema with its references, as a validator does, and find what would not come to an end soon."""
    definitions = schema.get("$defs", {})
    parts = 0

    def unfold(part: Any, place: Place, inside: tuple[str, ...], depth: int) -> Iterator[FieldError]:
        nonlocal parts
        parts += 1
        if parts > MOST_PARTS:
            return
        if depth > DEEPEST:
            yield FieldError(_name(place), f"is nested deeper than {DEEPEST} levels")
        elif isinstance(part, list):
            for index, item in enumerate(part):
                yield from unfold(item, (*place, index), inside, depth + 1)
        elif isinstance(part, Mapping):
            for name, value in part.items():
                if name == "$ref" and isinstance(value, str):
                    yield from follow(value, (*place, name), inside, depth)
                elif name in _REFUSED and isinstance(value, str):
                    yield FieldError(_name((*place, name)), "is not allowed here; use $defs and $ref")
                else:
                    yield from unfold(value, (*place, name), inside, depth + 1)

    def follow(reference: str, place: Place, inside: tuple[str, ...], depth: int) -> Iterator[FieldError]:
        match = _REFERENCE.fullmatch(reference)
        if match is None or not isinstance(definitions, Mapping) or (name := match[1]) not in definitions:
            yield FieldError(_name(place), "must be '#/$defs/<name>' with a name in the schema's own $defs")
        elif name in inside:
            circle = " → ".join((*inside[inside.index(name) :], name))
            yield FieldError(_name(place), f"leads back to itself ({circle}), which is not allowed")
        else:
            yield from unfold(definitions[name], ("$defs", name), (*inside, name), depth + 1)

    if schema.get("$schema", _DIALECT) != _DIALECT:
        yield FieldError("$schema", f"must be {_DIALECT}")
    found = dict.fromkeys(unfold(schema, (), (), 0))
    yield from found
    if parts > MOST_PARTS:
        yield FieldError("", f"unfolds to more than {MOST_PARTS} parts")


def _depends(error: json_schema.ValidationError, later: Collection[Place]) -> bool:
    """Whether what is said of one place could be otherwise once the values at `later` are known."""
    place = tuple(error.instance_path)
    return any(
        place[: len(unknown)] == unknown
        or (unknown[: len(place)] == place and not isinstance(error.kind, _SEEN_FROM_OUTSIDE))
        for unknown in later
    )


def _worded(error: json_schema.ValidationError, schema: Mapping[str, Any]) -> Iterator[FieldError]:
    place, kind = tuple(error.instance_path), error.kind
    match kind:
        case Kind.Required():
            yield FieldError(_name((*place, kind.property)), "is required")
        case Kind.AdditionalProperties() | Kind.UnevaluatedProperties():
            known = "" if place else _known(schema)
            for name in kind.unexpected:
                yield FieldError(_name((*place, name)), f"is unknown{known}")
        case Kind.Type():
            kinds = " or ".join(f"{'an' if each[0] in 'aio' else 'a'} {each}" for each in kind.types)
            yield FieldError(_name(place), f"must be {kinds}")
        case Kind.Enum():
            yield FieldError(_name(place), f"must be one of {', '.join(map(_shown, kind.options))}")
        case Kind.Constant():
            yield FieldError(_name(place), f"must be {_shown(kind.expected_value)}")
        case Kind.Minimum():
            yield FieldError(_name(place), f"must be {kind.limit} or more")
        case Kind.Maximum():
            yield FieldError(_name(place), f"must be {kind.limit} or less")
        case Kind.MinLength() | Kind.MinItems():
            yield FieldError(_name(place), f"must have at least {kind.limit} {_units(kind)}")
        case Kind.MaxLength() | Kind.MaxItems():
            yield FieldError(_name(place), f"must have at most {kind.limit} {_units(kind)}")
        case Kind.Pattern():
            yield FieldError(_name(place), f"must match {kind.pattern}")
        case Kind.FalseSchema() if error.schema_path[-1] == "additionalProperties" and not place:
            yield FieldError("", "must be empty; the operation takes no parameters")
        case Kind.FalseSchema():
            yield FieldError(_name(place), "is not allowed")
        case _:
            # The library's own words would quote the value, which can be a secret.
            yield FieldError(_name(place), f"does not fit '{kind.name}' of the command's schema")


def _known(schema: Mapping[str, Any]) -> str:
    names = ", ".join(schema.get("properties", ()))
    return f"; allowed are: {names}" if names else "; the operation takes no parameters"


def _units(kind: Any) -> str:
    one = kind.limit == 1
    if isinstance(kind, (Kind.MinLength, Kind.MaxLength)):
        return "character" if one else "characters"
    return "item" if one else "items"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _name(place: Collection[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")
