"""Manifests: their commands, and what contradicts itself."""

from typing import Any

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.domain.manifest import PluginCommand, PluginManifest
from flexcore.infrastructure.json_schema import JsonSchemaRules

RULES = JsonSchemaRules()
RESIZE = PluginCommand(
    "resize",
    "Resize a picture",
    {
        "type": "object",
        "required": ["width"],
        "additionalProperties": False,
        "properties": {"width": {"type": "integer"}, "quality": {"type": "number"}},
    },
)


def manifest(**changes: Any) -> PluginManifest:
    values = {
        "id": "pictures",
        "name": "Pictures",
        "version": "1.0",
        "type": "processor",
        "description": "",
        "entry_point": "pictures:Pictures",
        "commands": (RESIZE, PluginCommand("info", "Describe", default=True)),
    }
    return PluginManifest(**{**values, **changes})


def test_good_parameters_pass() -> None:
    RESIZE.check({"width": 1}, RULES, field_name="parameters.data")


def test_every_wrong_parameter_is_named_where_the_caller_wrote_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        RESIZE.check({"quality": "x", "height": 1}, RULES, field_name="parameters.data")
    assert {(error.field, error.message) for error in caught.value.errors} == {
        ("parameters.data.width", "is required"),
        ("parameters.data.quality", "must be a number"),
        ("parameters.data.height", "is unknown; allowed are: width, quality"),
    }
    assert str(caught.value).startswith("operation 'resize': parameters.data.")


def test_commands_are_found_by_name_or_by_default() -> None:
    assert manifest().command("resize") is RESIZE
    assert manifest().command(None).name == "info"


def test_every_plugin_answers_health() -> None:
    with pytest.raises(InvalidInput, match="takes no parameters"):
        manifest().command("health").check({"x": 1}, RULES, field_name="data")
    own = PluginCommand("health", "Look closer")
    assert manifest(commands=(own,)).command("health") is own


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crop", "'crop' is not an operation of plugin 'pictures'; allowed are: resize"),
        (None, "plugin 'pictures' has no default; allowed are: resize"),
    ],
)
def test_an_unknown_command_lists_the_allowed_ones(name: str | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        manifest(commands=(RESIZE,)).command(name)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "Pictures"},
        {"id": "execute"},
        {"entry_point": None},
        {"executable": "bin/run"},
        {"commands": (PluginCommand("a", "", default=True), PluginCommand("b", "", default=True))},
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        manifest(**changes)
