"""The marketplace: plugins that can be had, and which version of one is meant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from flexcore.application.package_trust import PackageTrust
from flexcore.application.plugin_dependencies import Offer
from flexcore.application.plugin_registry import PluginRegistry
from flexcore.domain.errors import InvalidInput, NotFound

MAX_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class OfferedVersion:
    """One package of the marketplace: `file` is where it lies there, `sha256` its digest."""

    version: str
    file: str
    sha256: str
    size: int
    dependencies: Mapping[str, str]
    signature: str | None


@dataclass(frozen=True, slots=True)
class OfferedPlugin:
    """One plugin of the marketplace with its versions."""

    id: str
    name: str
    type: str
    description: str
    versions: tuple[OfferedVersion, ...]

    def offers(self) -> list[Offer]:
        """Return the versions as the resolver takes them."""
        return [Offer(self.id, version.version, version.dependencies) for version in self.versions]


class Marketplace(Protocol):
    """Where packages can be had. Raises Unavailable while it does not answer, or says what makes no sense."""

    async def plugins(self) -> Sequence[OfferedPlugin]:
        """List what there is, ordered by id."""
        ...

    async def download(self, version: OfferedVersion, into: Path) -> None:
        """Write a package to the file `into`; its digest is for the caller to check. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class MarketplaceVersion:
    """One package; `signed_by` names the trusted key that signed it, null if it is unsigned or by a stranger."""

    version: str
    dependencies: Mapping[str, str]
    size: int
    sha256: str
    signed: bool
    signed_by: str | None


@dataclass(frozen=True, slots=True)
class MarketplacePlugin:
    """One plugin, the newest version first. `installed_version` is what this installation has."""

    id: str
    name: str
    type: str
    description: str
    installed_version: str | None
    versions: tuple[MarketplaceVersion, ...]


@dataclass(frozen=True, slots=True)
class MarketplacePage:
    """Part of what the marketplace has, ordered by id; `total` counts all that match."""

    plugins: tuple[MarketplacePlugin, ...]
    total: int
    limit: int
    offset: int


class MarketplaceDesk:
    """Shows what can be had."""

    def __init__(self, marketplace: Marketplace, registry: PluginRegistry, trust: PackageTrust) -> None:
        self._marketplace = marketplace
        self._registry = registry
        self._trust = trust

    async def page(self, query: str, limit: int, offset: int) -> MarketplacePage:
        """Show the plugins with all words of `query` in their id, name, type or description; raises Unavailable."""
        words = query.casefold().split()
        found = [plugin for plugin in await self._marketplace.plugins() if _mentions(plugin, words)]
        installed = {plugin.id: plugin.version for plugin in await self._registry.all()}
        shown = tuple(self._shown(plugin, installed.get(plugin.id)) for plugin in found[offset : offset + limit])
        return MarketplacePage(shown, len(found), limit, offset)

    def _shown(self, plugin: OfferedPlugin, installed: str | None) -> MarketplacePlugin:
        versions = sorted(plugin.versions, key=lambda each: Version(each.version), reverse=True)
        shown = tuple(
            MarketplaceVersion(
                each.version,
                each.dependencies,
                each.size,
                each.sha256,
                signed=each.signature is not None,
                signed_by=self._trust.signer(plugin.id, each.version, each.sha256, each.signature),
            )
            for each in versions
        )
        return MarketplacePlugin(plugin.id, plugin.name, plugin.type, plugin.description, installed, shown)


def choose(plugins: Sequence[OfferedPlugin], plugin_id: str, wanted: str | None) -> Offer:
    """Pick the newest version that `wanted`, a version or a range, allows; raises InvalidInput, NotFound."""
    offers = next((plugin.offers() for plugin in plugins if plugin.id == plugin_id), None)
    if offers is None:
        where = "GET /api/v1/flexcore/marketplace lists what it has, the setting marketplace.source says where it is"
        raise NotFound(f"the marketplace has no plugin '{plugin_id}'; {where}")
    offers.sort(key=lambda offer: Version(offer.version), reverse=True)
    # Versions before a release only where they are asked for, or there is nothing else.
    allowed = set(_range(wanted).filter(offer.version for offer in offers))
    for offer in offers:
        if offer.version in allowed:
            return offer
    versions = ", ".join(offer.version for offer in offers[:10]) or "none"
    raise NotFound(f"the marketplace has no version {wanted} of plugin '{plugin_id}'; it has {versions}")


def _mentions(plugin: OfferedPlugin, words: Sequence[str]) -> bool:
    text = f"{plugin.id} {plugin.name} {plugin.type} {plugin.description}".casefold()
    return all(word in text for word in words)


def _range(wanted: str | None) -> SpecifierSet:
    if wanted is None:
        return SpecifierSet()
    try:
        return SpecifierSet(f"=={Version(wanted)}")
    except InvalidVersion:
        pass
    try:
        return SpecifierSet(wanted)
    except InvalidSpecifier as error:
        raise InvalidInput.field("version", "must be a version, or a range of versions such as >=1.0,<2") from error
