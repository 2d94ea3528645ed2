"""Manifests: operations and the parameters they take."""

from typing import Any

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.domain.manifest import Operation, Parameter, ParameterType, PluginManifest

RESIZE = Operation(
    "resize",
    "Resize a picture",
    (
        Parameter("width", "integer", "Pixels", required=True),
        Parameter("quality", "number", "0 to 1"),
        Parameter("format", "string", "File format", choices=("png", "webp")),
    ),
)


def manifest(**changes: Any) -> PluginManifest:
    values = {
        "id": "pictures",
        "name": "Pictures",
        "version": "1.0",
        "type": "processor",
        "description": "",
        "entry_point": "pictures:Pictures",
        "operations": (RESIZE, Operation("info", "Describe")),
        "default_operation": "info",
    }
    return PluginManifest(**{**values, **changes})


@pytest.mark.parametrize(
    "data", [{"width": 1}, {"width": 10, "quality": 0.5, "format": "png"}, {"width": 10, "quality": 1}]
)
def test_good_parameters_pass(data: dict[str, Any]) -> None:
    RESIZE.check(data, "parameters.data")


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({}, "width", "is required"),
        ({"width": "10"}, "width", "must be an integer"),
        ({"width": True}, "width", "must be an integer"),
        ({"width": 1.0}, "width", "must be an integer"),
        ({"width": None}, "width", "must be an integer"),
        ({"width": 1, "quality": "high"}, "quality", "must be a number"),
        ({"width": 1, "format": "gif"}, "format", "must be one of png, webp"),
        ({"width": 1, "height": 1}, "height", "is unknown; allowed are: width, quality, format"),
    ],
)
def test_a_wrong_parameter_is_named(data: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RESIZE.check(data, "parameters.data")
    (error,) = caught.value.errors
    assert (error.field, error.message) == (f"parameters.data.{field}", message)
    assert str(caught.value) == f"operation 'resize': parameters.data.{field} {message}"


def test_every_wrong_parameter_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        RESIZE.check({"quality": "x", "height": 1}, "d")
    assert [error.field for error in caught.value.errors] == ["d.width", "d.quality", "d.height"]


def test_an_operation_without_parameters_takes_none() -> None:
    with pytest.raises(InvalidInput, match="takes no parameters"):
        Operation("info", "").check({"x": 1}, "d")


def test_an_open_operation_takes_others_but_checks_its_own() -> None:
    operation = Operation("echo", "", (Parameter("times", "integer", ""),), open=True)
    operation.check({"anything": object()}, "d")
    with pytest.raises(InvalidInput, match="must be an integer"):
        operation.check({"times": "often"}, "d")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "", 1),
        ("integer", 0, 0.5),
        ("number", 0.5, "0.5"),
        ("boolean", False, 0),
        ("object", {}, []),
        ("array", [], {}),
    ],
)
def test_types(kind: ParameterType, good: Any, bad: Any) -> None:
    parameter = Parameter("p", kind, "")
    assert parameter.problem(good) is None
    assert parameter.problem(bad) in (f"must be a {kind}", f"must be an {kind}")
    assert parameter.problem(None) is not None
    assert Parameter("p", "any", "").problem(bad) is None


def test_operations_are_found_by_name_or_by_default() -> None:
    assert manifest().operation("resize") is RESIZE
    assert manifest().operation(None).name == "info"


def test_an_unknown_operation_lists_the_allowed_ones() -> None:
    with pytest.raises(
        InvalidInput, match="'crop' is not an operation of plugin 'pictures'; allowed are: resize, info"
    ):
        manifest().operation("crop")


@pytest.mark.parametrize("changes", [{"id": "Pictures"}, {"id": "execute"}, {"default_operation": "crop"}])
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        manifest(**changes)
