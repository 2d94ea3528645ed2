"""Parameters that refer to other values."""

from typing import Any

import pytest

from flexcore.domain.step_parameters import NotResolvedError, references, resolve

RESULTS = {"a": {"rows": [{"id": 1}, {"id": 2}], "none": None}}
PARAMETERS = {"day": "monday"}


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        (3, 3),
        ({"text": "x"}, {"text": "x"}),
        ({"$from": "steps.a.rows.1.id"}, 2),
        ({"$from": "steps.a"}, RESULTS["a"]),
        ({"$from": "steps.a.none"}, None),
        ({"$from": "parameters.day"}, "monday"),
        ({"$from": "parameters"}, PARAMETERS),
        ({"deep": [{"$from": "parameters.day"}, 1]}, {"deep": ["monday", 1]}),
        ({"$from": "steps.a.rows.2", "default": 0}, 0),
        ({"$from": "steps.b.rows", "default": None}, None),
    ],
)
def test_resolve(value: Any, resolved: Any) -> None:
    assert resolve(value, PARAMETERS, RESULTS) == resolved


@pytest.mark.parametrize("text", ["steps.a.rows.2", "steps.a.rows.-1", "steps.b", "parameters.night", "steps.a.none.x"])
def test_what_leads_nowhere_is_named(text: str) -> None:
    with pytest.raises(NotResolvedError, match=f"'{text}' leads nowhere"):
        resolve({"x": {"$from": text}}, PARAMETERS, RESULTS)


@pytest.mark.parametrize(
    "reference",
    [
        {"$from": "step.a"},
        {"$from": "steps"},
        {"$from": "steps..x"},
        {"$from": "steps.a."},
        {"$from": ""},
        {"$from": 3},
        {"$from": "steps.a", "otherwise": 1},
    ],
)
def test_what_is_no_reference_is_found_with_its_place(reference: dict[str, Any]) -> None:
    ((place, problem),) = references({"list": [0, reference]})
    assert place == ".list[1]"
    assert isinstance(problem, str)
    with pytest.raises(NotResolvedError):
        resolve(reference, PARAMETERS, RESULTS)
