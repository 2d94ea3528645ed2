"""The plugins that come with FlexCore."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from flexcore.application.ports import PluginCode
from flexcore.domain.manifest import PluginCommand, PluginManifest
from flexcore.infrastructure.sandbox.builtin import flext_service, json_processor, simple_processor


class BuiltinPlugins:
    """The port PluginCodes for what this release brings along."""

    def find(self, plugin_id: str) -> PluginCode | None:
        """Return a plugin's code."""
        return BUILTIN_PLUGINS.get(plugin_id)

    def all(self) -> Mapping[str, PluginCode]:
        """Return the code of every plugin, by its id."""
        return BUILTIN_PLUGINS


def _code(module: ModuleType) -> PluginCode:
    described = dict(module.MANIFEST)
    default = described.pop("default_operation")
    commands = tuple(_command(operation, default) for operation in described.pop("operations"))
    manifest = PluginManifest(**described, commands=commands)
    return PluginCode(manifest, f"builtin-{manifest.id}-{manifest.version}", Path(__file__).parent)


def _command(operation: Mapping[str, Any], default: str) -> PluginCommand:
    parameters = operation.get("parameters", ())
    schema = {
        "type": "object",
        "properties": {each["name"]: _schema(each) for each in parameters},
        "required": [each["name"] for each in parameters if each.get("required")],
        "additionalProperties": operation.get("open", False),
    }
    return PluginCommand(operation["name"], operation["description"], schema, default=operation["name"] == default)


def _schema(parameter: Mapping[str, Any]) -> dict[str, Any]:
    described = {"description": parameter["description"]}
    return described if parameter["type"] == "any" else {"type": parameter["type"], **described}


BUILTIN_PLUGINS: Final[Mapping[str, PluginCode]] = {
    code.manifest.id: code for code in map(_code, (flext_service, json_processor, simple_processor))
}
