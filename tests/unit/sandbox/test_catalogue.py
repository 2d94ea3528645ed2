"""The built-in plugins' manifests agree with their code."""

import inspect
from importlib import import_module
from typing import Any

import pytest

from flexcore.domain.manifest import Operation, PluginManifest
from flexcore.infrastructure.sandbox.catalogue import BUILTIN_PLUGINS

OPERATIONS = [(manifest, operation) for manifest in BUILTIN_PLUGINS.values() for operation in manifest.operations]


def plugin_class(manifest: PluginManifest) -> Any:
    module, _, name = manifest.entry_point.partition(":")
    return getattr(import_module(module), name)


def test_the_three_are_there() -> None:
    assert sorted(BUILTIN_PLUGINS) == ["flext-service", "json-processor", "simple-processor"]


@pytest.mark.parametrize(
    ("manifest", "operation"), OPERATIONS, ids=[f"{manifest.id}-{operation.name}" for manifest, operation in OPERATIONS]
)
def test_an_operation_is_a_method_with_the_same_parameters(manifest: PluginManifest, operation: Operation) -> None:
    method = inspect.signature(getattr(plugin_class(manifest), operation.name))
    code = {name: parameter for name, parameter in method.parameters.items() if name != "self"}
    is_open = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in code.values())
    assert is_open == operation.open
    if not operation.open:
        declared = {parameter.name: parameter.required for parameter in operation.parameters}
        assert declared == {name: item.default is inspect.Parameter.empty for name, item in code.items()}


@pytest.mark.parametrize("manifest", BUILTIN_PLUGINS.values(), ids=lambda manifest: manifest.id)
def test_every_public_method_is_an_operation(manifest: PluginManifest) -> None:
    public = {name for name in vars(plugin_class(manifest)) if not name.startswith("_")}
    assert public == {operation.name for operation in manifest.operations}
