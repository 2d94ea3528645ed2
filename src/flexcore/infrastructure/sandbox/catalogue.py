"""The plugins that come with FlexCore: the manifests in `flexcore_plugins`, and what the operator grants them."""

import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import flexcore_plugins
from flexcore.application.ports import PluginCode
from flexcore.domain.manifest import Permissions, PluginManifest
from flexcore.infrastructure.packages.manifest_file import FILE_NAME, parse_manifest

_HOME: Final = Path(flexcore_plugins.__file__).parent


@dataclass(frozen=True, slots=True)
class Grant:
    """What the operator lets a built-in plugin do beside what its manifest says, and what it is told at each start."""

    permissions: Permissions = field(default_factory=Permissions)
    configuration: Mapping[str, Any] = field(default_factory=dict)


class BuiltinPlugins:
    """The port PluginCodes for what this release brings along; `grants` are by plugin id."""

    def __init__(self, grants: Mapping[str, Grant] = MappingProxyType({})) -> None:
        manifests = sorted(_HOME.glob(f"*/{FILE_NAME}"))
        self._codes = {code.manifest.id: code for code in (_code(file, grants) for file in manifests)}

    def find(self, plugin_id: str) -> PluginCode | None:
        """Return a plugin's code."""
        return self._codes.get(plugin_id)

    def all(self) -> Mapping[str, PluginCode]:
        """Return the code of every plugin, by its id."""
        return self._codes


def _code(file: Path, grants: Mapping[str, Grant]) -> PluginCode:
    """Take a built-in plugin as it lies in this release, whose own packages it may import."""
    manifest = parse_manifest(file.read_bytes())
    if manifest.id in grants:
        manifest = _granted(manifest, grants[manifest.id].permissions)
    digest = f"builtin-{manifest.id}-{manifest.version}-{version('flexcore')}"
    packages = (_HOME.parent, Path(sysconfig.get_path("platlib")))
    return PluginCode(manifest, digest, file.parent, tuple(dict.fromkeys(packages)))


def _granted(manifest: PluginManifest, more: Permissions) -> PluginManifest:
    own = manifest.permissions
    together = Permissions(
        network=(*own.network, *more.network),
        read=(*own.read, *more.read),
        write=(*own.write, *more.write),
        secrets=(*own.secrets, *more.secrets),
        events=(*own.events, *more.events),
    )
    return replace(manifest, permissions=together)
