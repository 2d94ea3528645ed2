"""Parameters by JSON Schema: what callers read, and what authors can't do with a schema."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from flexcore.domain.manifest import Place
from flexcore.infrastructure.json_schema import JsonSchemaRules

RULES = JsonSchemaRules()
ORDER = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1, "maximum": 9},
        "state": {"enum": ["open", "closed", None]},
        "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}},
        "note": {"type": ["string", "null"], "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "key": {"const": 7},
        "either": {"anyOf": [{"type": "string"}, {"type": "array"}]},
    },
    "$defs": {"line": {"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}}},
}


def problems(
    data: Mapping[str, Any], schema: Mapping[str, Any] = ORDER, later: tuple[Place, ...] = ()
) -> dict[str, str]:
    return {problem.field: problem.message for problem in RULES.problems(schema, data, later)}


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({}, "id", "is required"),
        ({"id": "1"}, "id", "must be an integer"),
        ({"id": True}, "id", "must be an integer"),
        ({"id": 1.5}, "id", "must be an integer"),
        ({"id": None}, "id", "must be an integer"),
        ({"id": 0}, "id", "must be 1 or more"),
        ({"id": 1 << 200}, "id", "must be 9 or less"),
        ({"id": 1, "state": "gone"}, "state", "must be one of open, closed, null"),
        ({"id": 1, "key": 8}, "key", "must be 7"),
        ({"id": 1, "lines": []}, "lines", "must have at least 1 item"),
        ({"id": 1, "lines": [{"price": 1}, {}]}, "lines[1].price", "is required"),
        ({"id": 1, "lines": [{"price": "x"}]}, "lines[0].price", "must be a number"),
        ({"id": 1, "note": 1}, "note", "must be a null or a string"),
        ({"id": 1, "note": "a"}, "note", "must have at least 2 characters"),
        ({"id": 1, "note": "abcde"}, "note", "must have at most 4 characters"),
        ({"id": 1, "note": "AB"}, "note", "must match ^[a-z]+$"),
        ({"id": 1, "either": 1}, "either", "does not fit 'anyOf' of the command's schema"),
        ({"id": 1, "x": 1}, "x", "is unknown; allowed are: id, state, lines, note, key, either"),
    ],
)
def test_a_wrong_parameter_is_named(data: dict[str, Any], field: str, message: str) -> None:
    assert problems(data) == {field: message}


def test_good_parameters_pass() -> None:
    assert problems({"id": 1, "state": None, "lines": [{"price": 1}, {"price": 0.5}], "note": "ab", "key": 7}) == {}
    assert problems({"anything": [{}]}, {}) == {}


def test_nothing_is_said_about_values_that_are_not_known_yet() -> None:
    reference = {"$from": "steps.a.x"}
    assert problems({"id": reference, "state": reference}, later=(("id",), ("state",))) == {}
    assert problems({"id": 1, "lines": [{"price": reference}]}, later=(("lines", 0, "price"),)) == {}
    # Whether one of the alternatives fits depends on it.
    either = {"anyOf": [{"properties": {"a": {"const": 1}}}, {"required": ["b"]}]}
    assert problems({"a": reference}, either, (("a",),)) == {}
    assert problems({"a": 2}, either) != {}


def test_what_does_not_depend_on_an_unknown_value_is_said() -> None:
    assert set(problems({"state": {"$from": "parameters.s"}, "x": 1}, later=(("state",),))) == {"id", "x"}
    assert problems({"id": 1, "lines": [{"$from": "parameters.l"}, 3]}, later=(("lines", 0),)) == {
        "lines[1]": "must be an object"
    }


def test_depth_that_nobody_meant_is_refused() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    assert "nested too deeply" in problems({"x": deep}, {"additionalProperties": {"type": "string"}})[""]


def test_errors_are_not_endless() -> None:
    assert len(RULES.problems({"additionalProperties": {"type": "string"}}, {str(n): n for n in range(1000)})) == 20


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(.*a){20}$"])
def test_no_pattern_makes_the_server_think_for_ever(pattern: str) -> None:
    """With an engine that goes back, the first of these takes twice as long for every further character."""
    schema = {"properties": {"x": {"type": "string", "pattern": pattern}}, "patternProperties": {pattern: True}}
    assert RULES.schema_problems(schema) == []
    started = time.monotonic()
    assert "x" in problems({"x": "a" * 200_000 + "!"}, schema)
    assert time.monotonic() - started < 20


def unfolding(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {}}}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"x": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "field", "message"),
    [
        ("object", "", "must be a JSON Schema"),
        ({"type": "array"}, "type", "must be object"),
        ({"properties": {"a": {"type": "text"}}}, "properties.a.type", "is no valid JSON Schema"),
        ({"properties": {"a": 3}}, "properties.a", "is no valid JSON Schema"),
        ({"required": "a"}, "required", "is no valid JSON Schema"),
        ({"properties": {"a": {"pattern": "("}}}, "properties.a.pattern", "is no valid JSON Schema"),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "", "is no valid JSON Schema"),
        ({"properties": {"a": {"pattern": r"(a)\1"}}}, "", "is no valid JSON Schema"),
        ({"$ref": "http://127.0.0.1/schema"}, "$ref", "must be '#/$defs/<name>'"),
        ({"$ref": "file:///etc/passwd"}, "$ref", "must be '#/$defs/<name>'"),
        ({"$ref": "#"}, "$ref", "must be '#/$defs/<name>'"),
        ({"$ref": "#/$defs/a", "$defs": {}}, "$ref", "must be '#/$defs/<name>'"),
        ({"$ref": "#/$defs/a/b", "$defs": {"a/b": {}, "a": {"b": {}}}}, "$ref", "must be '#/$defs/<name>'"),
        ({"properties": {"a": {"$id": "http://x/y"}}}, "properties.a.$id", "is not allowed here"),
        ({"$dynamicRef": "#x"}, "$dynamicRef", "is not allowed here"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "$schema", "must be https://json-schema.org/draft/2020"),
        (
            {"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}},
            "$defs.b.$ref",
            "leads back to itself (a → b → a)",
        ),
        (unfolding(40), "", "unfolds to more than 4096 parts"),
        (nested(60), "", "is nested deeper than 48 levels"),
    ],
    ids=str,
)  # fmt: skip
def test_a_schema_that_would_harm_is_none(schema: Any, field: str, message: str) -> None:
    found = {problem.field: problem.message for problem in RULES.schema_problems(schema)}
    if field:
        assert message in found[field]
    else:
        assert any(message in text for text in found.values())


def test_a_schema_may_be_as_rich_as_parameters_need() -> None:
    assert RULES.schema_problems(ORDER) == []
    assert RULES.schema_problems({}) == []
    assert RULES.schema_problems({"properties": {"$ref": {"type": "string"}, "$id": {}}}) == []
