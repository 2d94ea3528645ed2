"""Plugin packages: a wheel, or a .tar.gz with the plugin's files and, under `wheels/`, the libraries it needs.

A wheel has its manifest at its top or in its .dist-info; a .tar.gz has it at its top, or in the one directory that
holds everything.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.domain.manifest import PluginManifest
from flexcore.infrastructure.packages.archive import BOUNDS, FIELD, Archive, Bounds, Entry, open_archive, refused
from flexcore.infrastructure.packages.manifest_file import FILE_NAME, LARGEST_BYTES, parse_manifest
from flexcore.infrastructure.packages.wheel import check_wheel, library_files

SITE_PACKAGES: Final = "site-packages"
INSTALLED: Final = ".installed"
"""Marks a directory into which a package was unpacked to its end."""
_WHEELS: Final = "wheels/"
_MODULE_ENDINGS: Final = (".py", "/__init__.py", ".abi3.so")
_PLAIN, _EXECUTABLE = 0o644, 0o755


@dataclass(frozen=True, slots=True)
class ReadPackage:
    """A package in which nothing is wrong. `digest` is the SHA-256 of its bytes, hexadecimal."""

    manifest: PluginManifest
    digest: str
    size: int


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_package(path: Path, bounds: Bounds = BOUNDS) -> ReadPackage:
    """Read a package through; raises InvalidInput that names everything wrong with it."""
    with _opened(path, bounds) as package:
        return ReadPackage(package.manifest, digest_of(path), path.stat().st_size)


def unpack(path: Path, into: Path, bounds: Bounds = BOUNDS) -> PluginManifest:
    """Write a package's files into the empty directory `into`, without running any of them; raises InvalidInput.

    Python libraries go to `site-packages` below it. All can be read by everybody and changed by the owner.
    """
    with _opened(path, bounds) as package:
        for target, entry, archive in package.files:
            _write(archive, entry, into / target, executable=target == package.manifest.executable)
        for wheel in package.bundled:
            with _bundled(package.archive, wheel, into, bounds) as archive:
                for target, entry in library_files(archive):
                    _write(archive, entry, into / SITE_PACKAGES / target)
    for directory in (into, *(path for path in into.rglob("*") if path.is_dir())):
        directory.chmod(_EXECUTABLE)
    return package.manifest


@dataclass(frozen=True, slots=True)
class _Package:
    archive: Archive
    manifest: PluginManifest
    files: tuple[tuple[str, Entry, Archive], ...]
    bundled: tuple[Entry, ...]


@contextmanager
def _opened(path: Path, bounds: Bounds) -> Iterator[_Package]:
    with open_archive(path, bounds) as archive:
        found = _manifest_entry(archive)
        manifest = parse_manifest(archive.read(found, LARGEST_BYTES))
        if archive.wheel:
            check_wheel(archive, "the package")
            files = [(f"{SITE_PACKAGES}/{target}", entry) for target, entry in library_files(archive)]
            # There, too, so that it is found in one place whatever the package was.
            files.append((FILE_NAME, found))
            bundled: list[Entry] = []
        else:
            top = found.name.removesuffix(FILE_NAME)
            inner = [(entry.name.removeprefix(top), entry) for entry in archive.files.values()]
            files = [(target, entry) for target, entry in inner if not target.startswith(_WHEELS)]
            bundled = [entry for target, entry in inner if target.startswith(_WHEELS) and target.endswith(".whl")]
        libraries = _libraries(archive, bundled, path.parent, bounds)
        own = {target for target, _ in files}
        errors = [*_clashes(libraries, own), *_missing_code(manifest, own, set(libraries), wheel=archive.wheel)]
        if INSTALLED in own:
            errors.append(FieldError(FIELD, f"holds '{INSTALLED}', a name that FlexCore needs for itself"))
        if errors:
            raise refused(errors)
        yield _Package(archive, manifest, tuple((target, entry, archive) for target, entry in files), tuple(bundled))


def _manifest_entry(archive: Archive) -> Entry:
    files = archive.files
    places = [name for name in files if name.rpartition("/")[2] == FILE_NAME and name.count("/") <= 1]
    if archive.wheel:
        places = [name for name in places if name == FILE_NAME or name.partition("/")[0].endswith(".dist-info")]
    elif FILE_NAME in files:
        places = [FILE_NAME]
    elif len({entry.name.partition("/")[0] for entry in archive.entries}) > 1:
        places = []
    if len(places) != 1:
        where = "at its top or in its .dist-info" if archive.wheel else "at its top"
        raise InvalidInput.field(FIELD, f"must have one {FILE_NAME} {where}, and has {len(places) or 'none'}")
    return files[places[0]]


def _libraries(archive: Archive, wheels: list[Entry], near: Path, bounds: Bounds) -> dict[str, list[str]]:
    """Say which bundled wheels bring each file of site-packages."""
    found: dict[str, list[str]] = {}
    unpacked = sum(entry.size for entry in archive.entries)
    for entry in wheels:
        with _bundled(archive, entry, near, bounds) as wheel:
            unpacked += sum(inner.size for inner in wheel.entries)
            if unpacked > bounds.unpacked_bytes:
                raise InvalidInput.field(FIELD, f"unpacks to more than {bounds.unpacked_bytes} bytes with its wheels")
            for target, _ in library_files(wheel):
                found.setdefault(target, []).append(entry.name)
    return found


@contextmanager
def _bundled(archive: Archive, entry: Entry, near: Path, bounds: Bounds) -> Iterator[Archive]:
    name = entry.name.rpartition("/")[2]
    with tempfile.TemporaryDirectory(dir=near) as directory:
        path = Path(directory, "bundled.whl")
        _write(archive, entry, path)
        try:
            with open_archive(path, bounds) as wheel:
                if not wheel.wheel:
                    raise InvalidInput.field(FIELD, "is no wheel")
                check_wheel(wheel, name)
                yield wheel
        except InvalidInput as error:
            field = f"{FIELD}.{_WHEELS}{name}"
            raise refused([FieldError(field, each.message) for each in error.errors]) from None


def _clashes(libraries: dict[str, list[str]], own: set[str]) -> Iterator[FieldError]:
    for target, wheels in libraries.items():
        if len(wheels) > 1:
            yield FieldError(FIELD, f"has '{target}' in more than one wheel: {', '.join(wheels)}")
        elif f"{SITE_PACKAGES}/{target}" in own:
            yield FieldError(FIELD, f"has '{SITE_PACKAGES}/{target}' itself, and in {wheels[0]}")


def _missing_code(manifest: PluginManifest, own: set[str], libraries: set[str], *, wheel: bool) -> Iterator[FieldError]:
    if manifest.executable is not None:
        if wheel:
            yield FieldError("executable", "needs a .tar.gz; a wheel holds Python")
        elif manifest.executable not in own:
            yield FieldError("executable", f"'{manifest.executable}' is not in the package")
    elif manifest.entry_point is not None:
        module = manifest.entry_point.partition(":")[0].replace(".", "/")
        places = {f"{prefix}{module}{ending}" for ending in _MODULE_ENDINGS for prefix in ("", f"{SITE_PACKAGES}/")}
        compiled = any(name.removeprefix(f"{SITE_PACKAGES}/").startswith(f"{module}.cpython-") for name in own)
        if not (places & own or places & libraries or compiled):
            name = module.replace("/", ".")
            yield FieldError("entry_point", f"names the module '{name}', which is not in the package")


def _write(archive: Archive, entry: Entry, target: Path, *, executable: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as file:
        for chunk in archive.chunks(source, entry):
            file.write(chunk)
        mode = _EXECUTABLE if executable or entry.executable else _PLAIN
        target.chmod(mode)
