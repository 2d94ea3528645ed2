"""The judge of what modules return, which every run of one in the tests goes through: see tests/module_runs.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.modules.returned import disagreements

DOCUMENTED: dict[str, Any] = {
    "count": {"description": "How many.", "returned": "success", "type": "int"},
    "node": {
        "description": "The node. Null when there is none.",
        "returned": "when asked for",
        "type": "dict",
        "contains": {"name": {"description": "Its name.", "type": "str"}},
    },
    "lines": {"description": "Lines.", "returned": "when asked for", "type": "list", "elements": "str"},
}


@pytest.mark.parametrize(
    ("result", "wrong"),
    [
        ({"count": 1, "changed": False, "node": {"name": "core1"}, "lines": ["a"]}, []),
        ({"count": 1, "node": None}, []),
        ({"failed": True, "msg": "no"}, []),
        ({}, ["count is missing"]),
        ({"count": "1"}, ["count is a str, documented is int"]),
        ({"count": True}, ["count is a bool, documented is int"]),
        ({"count": None}, ["count is null"]),
        ({"count": 1, "more": 2}, ["more is not documented"]),
        (
            {"count": 1, "node": {"name": 1, "id": 2}},
            ["node.name is a int, documented is str", "node.id is not documented"],
        ),
        ({"count": 1, "lines": ["a", 2]}, ["lines[] is a int, documented is str"]),
    ],
)
def test_what_does_not_agree_is_named(result: dict[str, Any], wrong: list[str]) -> None:
    assert disagreements(result, DOCUMENTED) == wrong
