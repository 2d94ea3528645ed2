"""json-processor against the examples of the standards it follows."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexcore_plugin import OperationFailed
from flexcore_plugins.json_processor.processor import JsonProcessor

processor = JsonProcessor({})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)

RFC_6901 = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC_6901),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_select_follows_rfc_6901(pointer: str, value: Any) -> None:
    assert processor.select(RFC_6901, pointer) == {"value": value}


@pytest.mark.parametrize(
    "pointer", ["foo", "/foo/2", "/foo/-1", "/foo/01", "/foo/-", "/foo/x", "/missing", "/ /deeper"]
)
def test_select_says_what_is_not_there(pointer: str) -> None:
    with pytest.raises(OperationFailed):
        processor.select(RFC_6901, pointer)


@pytest.mark.parametrize(
    ("document", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_follows_the_table_of_rfc_7396(document: Any, patch: Any, merged: Any) -> None:
    assert processor.merge(document, patch) == {"document": merged}


def apply_patch(document: Any, patch: list[dict[str, Any]]) -> Any:
    """RFC 6902, as far as a difference uses it."""
    root = [document]
    for change in patch:
        parent: Any = root
        *path, last = ["0", *(t.replace("~1", "/").replace("~0", "~") for t in change["path"].split("/")[1:])]
        for token in path:
            parent = parent[int(token) if isinstance(parent, list) else token]
        if isinstance(parent, list):
            if change["op"] == "add":
                assert last == "-"
                parent.append(change["value"])
            elif change["op"] == "remove":
                del parent[int(last)]
            else:
                parent[int(last)] = change["value"]
        elif change["op"] == "remove":
            del parent[last]
        else:
            assert (last in parent) == (change["op"] == "replace")
            parent[last] = change["value"]
    return root[0]


@given(json_values, json_values)
def test_a_difference_turns_one_document_into_the_other(before: Any, after: Any) -> None:
    difference: Any = processor.diff(before, after)
    changed = apply_patch(copy.deepcopy(before), difference["patch"])
    assert repr(sort(changed)) == repr(sort(after)), "also 1, 1.0 and true are different values"
    assert difference["equal"] == (not difference["patch"])


def sort(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sort(value[key]) for key in sorted(value)}
    return [sort(item) for item in value] if isinstance(value, list) else value


@given(json_values)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    assert processor.diff(document, document) == {"equal": True, "patch": []}


@given(json_values, st.integers(0, 16), st.booleans())
def test_format_and_parse_undo_each_other(document: Any, indent: int, sort_keys: bool) -> None:
    text: Any = processor.format(document, indent, sort_keys)["text"]
    assert processor.parse(text) == {"document": document}


def test_format_is_readable() -> None:
    assert processor.format({"b": "ü", "a": [1]}, sort_keys=True) == {"text": '{\n  "a": [\n    1\n  ],\n  "b": "ü"\n}'}
    assert processor.format({"b": 1}, indent=0) == {"text": '{"b": 1}'}
    with pytest.raises(OperationFailed, match="indent must be 0 to 16"):
        processor.format({}, indent=17)


def test_parse_says_where_the_text_is_wrong() -> None:
    with pytest.raises(OperationFailed) as caught:
        processor.parse('{"a": 1,\n "b" 2}')
    assert caught.value.details == {"line": 2, "column": 6}


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "[" * 100_000])
def test_parse_refuses_what_json_has_not(text: str) -> None:
    with pytest.raises(OperationFailed):
        processor.parse(text)


def test_describe_counts() -> None:
    assert processor.describe(a=[1, 2.5, {"b": None}], c="x", d=True) == {
        "keys": ["a", "c", "d"],
        "depth": 3,
        "values": {"array": 1, "boolean": 1, "null": 1, "number": 2, "object": 2, "string": 1},
    }
    assert processor.describe() == {
        "keys": [],
        "depth": 1,
        "values": {"array": 0, "boolean": 0, "null": 0, "number": 0, "object": 1, "string": 0},
    }
