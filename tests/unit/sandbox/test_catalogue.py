"""The built-in plugins' manifests agree with their code."""

import inspect
from importlib import import_module
from typing import Any

import pytest

from flexcore.domain.manifest import PluginCommand, PluginManifest
from flexcore.infrastructure.json_schema import JsonSchemaRules
from flexcore.infrastructure.sandbox.catalogue import BUILTIN_PLUGINS

MANIFESTS = [code.manifest for code in BUILTIN_PLUGINS.values()]
COMMANDS = [(manifest, command) for manifest in MANIFESTS for command in manifest.commands]


def plugin_class(manifest: PluginManifest) -> Any:
    module, _, name = manifest.starts.partition(":")
    return getattr(import_module(module), name)


def test_the_three_are_there() -> None:
    assert sorted(BUILTIN_PLUGINS) == ["flext-service", "json-processor", "simple-processor"]


@pytest.mark.parametrize(
    ("manifest", "command"), COMMANDS, ids=[f"{manifest.id}-{command.name}" for manifest, command in COMMANDS]
)
def test_a_command_is_a_method_with_the_same_parameters(manifest: PluginManifest, command: PluginCommand) -> None:
    method = inspect.signature(getattr(plugin_class(manifest), command.name))
    code = {name: parameter for name, parameter in method.parameters.items() if name != "self"}
    is_open = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in code.values())
    schema = command.parameters
    assert JsonSchemaRules().schema_problems(schema) == []
    assert is_open == schema["additionalProperties"]
    if not is_open:
        declared = {name: name in schema["required"] for name in schema["properties"]}
        assert declared == {name: item.default is inspect.Parameter.empty for name, item in code.items()}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.id)
def test_every_public_method_is_a_command(manifest: PluginManifest) -> None:
    public = {name for name in vars(plugin_class(manifest)) if not name.startswith("_")}
    assert public == {command.name for command in manifest.commands}
