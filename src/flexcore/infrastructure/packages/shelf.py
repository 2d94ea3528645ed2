"""The directory of unpacked packages, `<plugin id>/<first digits of the digest>/`: written here, only read elsewhere.

A package is unpacked beside its place and moved there as a whole, after it was flushed to the disk. So whatever has a
mark is complete, and whatever has none was left behind by a process that died.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from flexcore.application.plugin_packages import PackageFile
from flexcore.application.ports import PluginCode
from flexcore.domain.errors import InvalidInput, Unavailable
from flexcore.domain.manifest import PluginManifest
from flexcore.infrastructure.packages.archive import BOUNDS, Bounds
from flexcore.infrastructure.packages.manifest_file import FILE_NAME, parse_manifest
from flexcore.infrastructure.packages.package import INSTALLED, SITE_PACKAGES, read_package, unpack

_INCOMING: Final = ".incoming"
_DIGITS: Final = 16
_READABLE: Final = 0o755

Value = TypeVar("Value")


class DirectoryShelf:
    """The port PackageShelf. Only one process writes to `directory`."""

    def __init__(self, directory: Path, bounds: Bounds = BOUNDS) -> None:
        self._directory = directory
        self._bounds = bounds

    @property
    def incoming(self) -> Path:
        """Where files lie that are not looked through yet; cleared at each start."""
        return self._directory / _INCOMING

    async def start(self) -> None:
        """Make the directory, and clear what was left behind; raises Unavailable."""

        def make() -> None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._directory.chmod(_READABLE)
            shutil.rmtree(self.incoming, ignore_errors=True)
            self.incoming.mkdir(mode=0o700)

        await _on_disk(make)

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """Lend an empty directory on the same disk, which is gone afterwards."""
        path = Path(await _on_disk(lambda: tempfile.mkdtemp(dir=self.incoming)))
        try:
            yield path
        finally:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    async def read(self, path: Path) -> PackageFile:
        """Look a package through; raises InvalidInput that names everything wrong with it, Unavailable."""
        found = await _on_disk(lambda: read_package(path, self._bounds))
        return PackageFile(path, found.manifest, found.digest, found.size)

    async def unpack(self, package: PackageFile) -> PluginCode:
        """Unpack a package, all or nothing; if it was before, that is it. Raises InvalidInput, Unavailable."""
        return await _on_disk(lambda: self._unpack(package))

    async def find(self, plugin_id: str, digest: str) -> PluginCode | None:
        """Return what was unpacked before; raises Unavailable."""
        return await _on_disk(lambda: self._find(plugin_id, digest))

    async def clean(self, keep: Collection[PluginCode]) -> None:
        """Remove everything but these; raises Unavailable."""
        await _on_disk(lambda: self._clean({code.directory for code in keep}))

    def _place(self, plugin_id: str, digest: str) -> Path:
        return self._directory / plugin_id / digest[:_DIGITS]

    def _unpack(self, package: PackageFile) -> PluginCode:
        manifest = package.manifest
        if (found := self._find(manifest.id, package.digest)) is not None:
            return found
        place = self._place(manifest.id, package.digest)
        with tempfile.TemporaryDirectory(dir=self.incoming) as directory:
            made = Path(directory, "files")
            made.mkdir()
            unpack(package.path, made, self._bounds)
            (made / INSTALLED).write_text(package.digest)
            _flush(made)
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(exist_ok=True)
            place.parent.chmod(_READABLE)
            made.rename(place)
        _sync(place.parent)
        return _code(manifest, package.digest, place)

    def _find(self, plugin_id: str, digest: str) -> PluginCode | None:
        place = self._place(plugin_id, digest)
        try:
            if (place / INSTALLED).read_text() != digest:
                return None
            return _code(parse_manifest((place / FILE_NAME).read_bytes()), digest, place)
        except (FileNotFoundError, InvalidInput):
            # What an earlier release took for a manifest need not be one for this one; unpacking it anew says why.
            return None

    def _clean(self, keep: set[Path]) -> None:
        for plugin in self._directory.iterdir():
            if plugin.name.startswith(".") or not plugin.is_dir():
                continue
            for place in plugin.iterdir():
                if place not in keep:
                    shutil.rmtree(place, ignore_errors=True)
            if not any(plugin.iterdir()):
                plugin.rmdir()


def _code(manifest: PluginManifest, digest: str, place: Path) -> PluginCode:
    search_path = () if manifest.entry_point is None else (place, place / SITE_PACKAGES)
    return PluginCode(manifest, digest, place, tuple(path for path in search_path if path.is_dir()))


def _flush(directory: Path) -> None:
    for path in (*directory.rglob("*"), directory):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _on_disk(act: Callable[[], Value]) -> Value:
    """Do something with files in a thread; raises Unavailable if the disk does not take it."""
    try:
        return await asyncio.to_thread(act)
    except OSError as error:
        raise Unavailable("plugins", f"the directory of plugins can't be used: {error.strerror or error}") from error
