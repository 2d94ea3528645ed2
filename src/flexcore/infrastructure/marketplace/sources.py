"""Marketplaces: a directory, an HTTP server, or none. Both hold an `index.json` and the packages it lists."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NoReturn

import httpx
import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from flexcore.application.marketplace import Marketplace, OfferedPlugin, OfferedVersion
from flexcore.domain.errors import NotFound, NotInstallable, Unavailable
from flexcore.infrastructure.marketplace.index import INDEX_FILE, Index

COMPONENT: Final = "marketplace"
LARGEST_INDEX_BYTES: Final = 16 << 20
INDEX_SECONDS: Final = 10.0
PACKAGE_SECONDS: Final = 120.0
_CONNECT_SECONDS: Final = 5.0


def open_marketplace(source: str | None, max_package_bytes: int) -> Marketplace:
    """Return the marketplace at a directory or an http(s) address, or one that has nothing."""
    if source is None:
        return NoMarketplace()
    if source.startswith(("http://", "https://")):
        return HttpMarketplace(source, max_package_bytes)
    return DirectoryMarketplace(Path(source), max_package_bytes)


class NoMarketplace:
    """What an installation without the setting `marketplace.source` has."""

    async def plugins(self) -> Sequence[OfferedPlugin]:
        """List nothing."""
        return ()

    async def download(self, version: OfferedVersion, into: Path) -> None:
        """Raise NotFound."""
        raise NotFound("no marketplace is set (marketplace.source)")


class DirectoryMarketplace:
    """A directory that this node can read."""

    def __init__(self, directory: Path, max_package_bytes: int) -> None:
        self._directory = directory
        self._max_package_bytes = max_package_bytes

    async def plugins(self) -> Sequence[OfferedPlugin]:
        """Read the index; raises Unavailable."""

        def read() -> bytes:
            with (self._directory / INDEX_FILE).open("rb") as file:
                return file.read(LARGEST_INDEX_BYTES + 1)

        try:
            content = await asyncio.to_thread(read)
        except OSError as error:
            raise Unavailable(COMPONENT, f"the marketplace's index can't be read: {error.strerror}") from error
        return _decoded(content)

    async def download(self, version: OfferedVersion, into: Path) -> None:
        """Copy a package; raises NotFound, NotInstallable, Unavailable."""
        path = self._directory / version.file
        try:
            if (await asyncio.to_thread(path.stat)).st_size > self._max_package_bytes:
                _too_large(version, self._max_package_bytes)
            await asyncio.to_thread(shutil.copyfile, path, into)
        except FileNotFoundError as error:
            raise NotFound(f"the marketplace lists '{version.file}' and does not have it") from error
        except OSError as error:
            raise Unavailable(
                COMPONENT, f"'{version.file}' of the marketplace can't be read: {error.strerror}"
            ) from error


class HttpMarketplace:
    """A directory on a web server; redirections are not followed."""

    def __init__(self, url: str, max_package_bytes: int) -> None:
        self._url = url.rstrip("/")
        self._max_package_bytes = max_package_bytes

    async def plugins(self) -> Sequence[OfferedPlugin]:
        """Read the index; raises Unavailable."""
        content = bytearray()
        async with self._get(INDEX_FILE, INDEX_SECONDS) as response:
            if response.status_code != httpx.codes.OK:
                raise Unavailable(COMPONENT, f"the marketplace answers {response.status_code} when asked for its index")
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST_INDEX_BYTES:
                    break
        return _decoded(bytes(content))

    async def download(self, version: OfferedVersion, into: Path) -> None:
        """Load a package; raises NotFound, NotInstallable, Unavailable."""
        written = 0
        async with self._get(version.file, PACKAGE_SECONDS) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                raise NotFound(f"the marketplace lists '{version.file}' and does not have it")
            if response.status_code != httpx.codes.OK:
                raise Unavailable(COMPONENT, f"the marketplace answers {response.status_code} to '{version.file}'")
            with into.open("xb") as file:
                async for chunk in response.aiter_raw(1 << 18):
                    written += len(chunk)
                    if written > self._max_package_bytes:
                        _too_large(version, self._max_package_bytes)
                    await asyncio.to_thread(file.write, chunk)

    @asynccontextmanager
    async def _get(self, name: str, seconds: float) -> AsyncIterator[httpx.Response]:
        try:
            async with (
                asyncio.timeout(seconds),
                httpx.AsyncClient(timeout=httpx.Timeout(INDEX_SECONDS, connect=_CONNECT_SECONDS)) as client,
                client.stream("GET", f"{self._url}/{name}", headers={"accept-encoding": "identity"}) as response,
            ):
                yield response
        except TimeoutError as error:
            raise Unavailable(COMPONENT, f"the marketplace did not send {name} within {seconds:g} s") from error
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise Unavailable(COMPONENT, f"the marketplace can't be reached: {why}") from error


def _too_large(version: OfferedVersion, most_bytes: int) -> NoReturn:
    raise NotInstallable(
        f"'{version.file}' of the marketplace is larger than {most_bytes} bytes (plugins.max_package_bytes)"
    )


def _decoded(content: bytes) -> Sequence[OfferedPlugin]:
    if len(content) > LARGEST_INDEX_BYTES:
        raise Unavailable(COMPONENT, f"the marketplace's index is larger than {LARGEST_INDEX_BYTES} bytes")
    try:
        index = msgspec.json.decode(content, type=Index)
        for plugin in index.plugins:
            for version in plugin.versions:
                Version(version.version)
                for text in version.dependencies.values():
                    SpecifierSet(text)
    except (msgspec.DecodeError, InvalidVersion, InvalidSpecifier, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable(COMPONENT, f"the marketplace's index is not valid: {error}") from error
    return sorted(
        (
            OfferedPlugin(
                plugin.id,
                plugin.name,
                plugin.type,
                plugin.description,
                tuple(
                    OfferedVersion(each.version, each.file, each.sha256, each.size, each.dependencies, each.signature)
                    for each in plugin.versions
                ),
            )
            for plugin in index.plugins
        ),
        key=lambda plugin: plugin.id,
    )
