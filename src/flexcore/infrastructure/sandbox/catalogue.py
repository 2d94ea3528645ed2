"""The manifests of the plugins that come with FlexCore."""

from collections.abc import Mapping
from typing import Final

import msgspec

from flexcore.domain.manifest import PluginManifest
from flexcore.infrastructure.sandbox.builtin import flext_service, json_processor, simple_processor

BUILTIN_PLUGINS: Final[Mapping[str, PluginManifest]] = {
    manifest.id: manifest
    for manifest in (
        msgspec.convert(module.MANIFEST, PluginManifest) for module in (flext_service, json_processor, simple_processor)
    )
}
