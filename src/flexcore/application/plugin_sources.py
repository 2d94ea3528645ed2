"""Where a package comes from: an upload, or the marketplace with everything that it offers."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flexcore.application.marketplace import Marketplace, OfferedVersion, choose
from flexcore.application.package_trust import PackageTrust
from flexcore.application.plugin_dependencies import Offer
from flexcore.application.plugin_packages import PackageFile, PackageShelf
from flexcore.domain.errors import NotInstallable
from flexcore.domain.plugin import Release


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a caller sent, with the signature beside it."""

    path: Path
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """A package on this node, and what the log is to say about it."""

    release: Release
    package: PackageFile


class Source(Protocol):
    """What is wanted, and what else can be had from there."""

    @property
    def wanted(self) -> Offer:
        """The version that is wanted."""
        ...

    def offers(self, plugin_id: str) -> Sequence[Offer]:
        """Say which versions of another plugin there are."""
        ...

    async def get(self, offer: Offer) -> Got:
        """Bring a package to this node; raises InvalidInput, NotInstallable, Unavailable."""
        ...


class PackageSources:
    """Opens sources."""

    def __init__(self, shelf: PackageShelf, marketplace: Marketplace, trust: PackageTrust) -> None:
        self._shelf = shelf
        self._marketplace = marketplace
        self._trust = trust

    async def uploaded(self, upload: Upload) -> Source:
        """Read an upload; raises InvalidInput that names everything wrong with it."""
        package = await self._shelf.read(upload.path)
        manifest = package.manifest
        signed_by = self._trust.check_upload(manifest.id, manifest.version, package.digest, upload.signature)
        got = Got(Release(manifest, package.digest, "upload", signed_by), package)
        return _Uploaded(Offer(manifest.id, manifest.version, manifest.dependencies), got)

    @asynccontextmanager
    async def marketplace(self, plugin_id: str, version: str | None) -> AsyncIterator[Source]:
        """Ask the marketplace for a version, or a range of them; raises InvalidInput, NotFound, Unavailable."""
        plugins = await self._marketplace.plugins()
        wanted = choose(plugins, plugin_id, version)
        versions = {(plugin.id, each.version): each for plugin in plugins for each in plugin.versions}
        async with self._shelf.scratch() as directory:
            yield _Offered(
                wanted,
                {plugin.id: plugin.offers() for plugin in plugins},
                versions,
                (self._shelf, self._marketplace, self._trust, directory),
            )


@dataclass(frozen=True, slots=True)
class _Uploaded:
    wanted: Offer
    got: Got

    def offers(self, plugin_id: str) -> Sequence[Offer]:
        return ()

    async def get(self, offer: Offer) -> Got:
        return self.got


@dataclass(frozen=True, slots=True)
class _Offered:
    wanted: Offer
    all_offers: Mapping[str, Sequence[Offer]]
    versions: Mapping[tuple[str, str], OfferedVersion]
    world: tuple[PackageShelf, Marketplace, PackageTrust, Path]
    gotten: dict[Offer, Got] = field(default_factory=dict)

    def offers(self, plugin_id: str) -> Sequence[Offer]:
        return self.all_offers.get(plugin_id, ())

    async def get(self, offer: Offer) -> Got:
        if offer not in self.gotten:
            self.gotten[offer] = await self._download(offer)
        return self.gotten[offer]

    async def _download(self, offer: Offer) -> Got:
        shelf, marketplace, trust, directory = self.world
        entry = self.versions[offer.id, offer.version]
        # Before anything is downloaded: most of what would be refused is.
        signed_by = trust.check_offer(offer.id, offer.version, entry.sha256, entry.signature)
        path = directory / f"{offer.id}-{offer.version}"
        await marketplace.download(entry, path)
        package = await shelf.read(path)
        manifest = package.manifest
        refused = f"{offer} from the marketplace is refused"
        if package.digest != entry.sha256:
            raise NotInstallable(f"{refused}: it has another SHA-256 than its index says")
        if (manifest.id, manifest.version) != (offer.id, offer.version):
            raise NotInstallable(f"{refused}: the package says that it is {manifest.id} {manifest.version}")
        if dict(manifest.dependencies) != dict(offer.requires):
            raise NotInstallable(f"{refused}: it has other dependencies than its index says")
        return Got(Release(manifest, package.digest, "marketplace", signed_by), package)
