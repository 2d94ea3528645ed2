"""The built-in plugins: their manifests agree with their code, and the operator's grants reach them."""

import inspect
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import flexcore_plugins
from flexcore.domain.manifest import Permissions, PluginCommand, PluginManifest
from flexcore.infrastructure.sandbox.catalogue import BuiltinPlugins, Grant

HOME = Path(flexcore_plugins.__file__).parent
MANIFESTS = [code.manifest for code in BuiltinPlugins().all().values()]
COMMANDS = [(manifest, command) for manifest in MANIFESTS for command in manifest.commands]


def plugin_class(manifest: PluginManifest) -> Any:
    assert manifest.entry_point is not None
    module, _, name = manifest.entry_point.partition(":")
    return getattr(import_module(module), name)


def test_every_package_is_a_plugin_of_its_name() -> None:
    packages = {path.name.replace("_", "-") for path in HOME.iterdir() if (path / "__init__.py").exists()}
    assert {manifest.id for manifest in MANIFESTS} == packages


@pytest.mark.parametrize(
    ("manifest", "command"), COMMANDS, ids=[f"{manifest.id}-{command.name}" for manifest, command in COMMANDS]
)
def test_a_command_is_a_method_with_the_same_parameters(manifest: PluginManifest, command: PluginCommand) -> None:
    method = inspect.signature(getattr(plugin_class(manifest), command.name))
    code = {name: parameter for name, parameter in method.parameters.items() if name != "self"}
    is_open = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in code.values())
    assert command.parameters["type"] == "object"
    assert is_open == command.parameters.get("additionalProperties", True)
    if not is_open:
        required = command.parameters.get("required", ())
        declared = {name: name in required for name in command.parameters.get("properties", {})}
        assert declared == {name: item.default is inspect.Parameter.empty for name, item in code.items()}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.id)
def test_every_public_method_is_a_command(manifest: PluginManifest) -> None:
    public = {name for name in vars(plugin_class(manifest)) if not name.startswith("_")}
    assert public == {command.name for command in manifest.commands}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.id)
def test_a_default_of_the_schema_is_that_of_the_code(manifest: PluginManifest) -> None:
    for command in manifest.commands:
        code = inspect.signature(getattr(plugin_class(manifest), command.name)).parameters
        for name, schema in command.parameters.get("properties", {}).items():
            if "default" in schema:
                # None in the code stands for an empty object or list, which must not be shared between calls.
                assert code[name].default in (schema["default"], None if not schema["default"] else schema["default"])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.id)
def test_a_plugin_says_what_each_parameter_is(manifest: PluginManifest) -> None:
    assert manifest.description
    for command in manifest.commands:
        assert command.description
        for name, schema in command.parameters.get("properties", {}).items():
            assert schema.get("description"), f"{command.name}: {name}"


def test_the_digest_names_the_release() -> None:
    code = BuiltinPlugins().find("json-processor")
    assert code is not None
    assert code.digest.startswith("builtin-json-processor-1.0.0-0.1.0+")
    assert (code.directory / "flexcore-plugin.toml").is_file()
    assert (code.search_path[0] / "flexcore_plugin" / "__init__.py").is_file()


def test_what_is_granted_is_permitted() -> None:
    grants = {"flext-service": Grant(Permissions(network=("flext.example.com:443",), read=("/srv",)))}
    granted = BuiltinPlugins(grants).find("flext-service")
    assert granted is not None
    assert granted.manifest.permissions == Permissions(network=("flext.example.com:443",), read=("/srv",))
    plain = BuiltinPlugins().find("flext-service")
    assert plain is not None
    assert plain.manifest.permissions.network == ()


def test_a_step_of_transform_takes_what_the_command_takes() -> None:
    commands = tomllib.loads((HOME / "data_transformer" / "flexcore-plugin.toml").read_text())["commands"]
    steps = commands.pop("transform")["parameters"]["properties"]["steps"]["items"]["properties"]
    assert steps == {name: without_records(command["parameters"]) for name, command in commands.items()}


def without_records(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = {name: each for name, each in schema["properties"].items() if name != "records"}
    required = [name for name in schema["required"] if name != "records"]
    others = {name: each for name, each in schema.items() if name not in ("properties", "required")}
    return {**others, "properties": properties, **({"required": required} if required else {})}


def test_describe_reads_what_convert_reads() -> None:
    commands = tomllib.loads((HOME / "data_processor" / "flexcore-plugin.toml").read_text())["commands"]
    convert, describe = (commands[name]["parameters"]["properties"]["source"] for name in ("convert", "describe"))
    assert without_descriptions(describe) == without_descriptions(convert)


def without_descriptions(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {name: without_descriptions(each) for name, each in schema.items() if name != "description"}
