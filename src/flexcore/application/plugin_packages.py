"""Packages as the use cases know them: a checked file, where all nodes find it, and the place it is unpacked to."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flexcore.application.ports import PluginCode
from flexcore.domain.manifest import PluginManifest


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A package on this node's disk in which nothing is wrong. `digest` is its SHA-256, hexadecimal."""

    path: Path
    manifest: PluginManifest
    digest: str
    size: int


class PackageStore(Protocol):
    """The packages of the installation, where every node finds them. Raises Unavailable."""

    async def put(self, package: PackageFile) -> None:
        """Keep a package; nothing happens if it is there."""
        ...

    async def fetch(self, digest: str, into: Path) -> None:
        """Write a package to the file `into`; raises NotFound, and Conflict if it is not what its digest says."""
        ...


class PackageShelf(Protocol):
    """The directory of this node in which packages lie unpacked. Raises Unavailable if the disk does not take it."""

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """Lend an empty directory on the same disk, which is gone afterwards."""
        ...

    async def read(self, path: Path) -> PackageFile:
        """Look a package through; raises InvalidInput that names everything wrong with it."""
        ...

    async def unpack(self, package: PackageFile) -> PluginCode:
        """Unpack a package, all or nothing; if it was before, that is it. Raises InvalidInput."""
        ...

    async def find(self, plugin_id: str, digest: str) -> PluginCode | None:
        """Return what was unpacked before."""
        ...

    async def clean(self, keep: Collection[PluginCode]) -> None:
        """Remove everything but these."""
        ...
