"""The index of a marketplace: one JSON document beside the packages it lists."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from packaging.version import Version

from flexcore.domain.errors import FieldError, InvalidInput
from flexcore.infrastructure.marketplace.signatures import LONGEST_SIGNATURE, SIGNATURE_ENDING
from flexcore.infrastructure.packages.archive import refused
from flexcore.infrastructure.packages.package import ReadPackage, read_package

INDEX_FILE: Final = "index.json"
_ENDINGS: Final = (".whl", ".tar.gz")

_Text = Annotated[str, Meta(max_length=4000)]


class IndexedVersion(Struct, frozen=True):
    """One package. `file` stands beside the index; `signature` is in base64."""

    version: Annotated[str, Meta(min_length=1, max_length=255)]
    file: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Meta(ge=0)]
    dependencies: dict[str, str] = {}
    signature: Annotated[str, Meta(max_length=LONGEST_SIGNATURE)] | None = None


class IndexedPlugin(Struct, frozen=True):
    """One plugin with its versions, the newest first."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    name: _Text
    type: _Text
    description: _Text
    versions: tuple[IndexedVersion, ...]


class Index(Struct, frozen=True):
    """Everything that a marketplace has."""

    format: Annotated[int, Meta(ge=1, le=1)]
    plugins: tuple[IndexedPlugin, ...]


def make_index(directory: Path) -> Index:
    """List the packages in a directory, each with the signature that lies beside it; raises InvalidInput, OSError."""
    found: dict[str, list[tuple[ReadPackage, Path]]] = {}
    errors: list[FieldError] = []
    for path in sorted(directory.iterdir()):
        if path.name.endswith(_ENDINGS):
            try:
                package = read_package(path)
            except InvalidInput as error:
                errors += [FieldError(path.name, f"{each.field} {each.message}") for each in error.errors]
            else:
                found.setdefault(package.manifest.id, []).append((package, path))
    for plugin_id, packages in found.items():
        versions = [package.manifest.version for package, _ in packages]
        twice = sorted({version for version in versions if versions.count(version) > 1})
        errors += [FieldError(plugin_id, f"{version} is there more than once") for version in twice]
    if errors:
        raise refused(errors)
    return Index(1, tuple(_plugin(packages) for _, packages in sorted(found.items())))


def write_index(directory: Path) -> Index:
    """Make the index of a directory and write it there; raises InvalidInput, OSError."""
    index = make_index(directory)
    scratch = directory / f".{INDEX_FILE}.new"
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n")
    scratch.replace(directory / INDEX_FILE)
    return index


def _plugin(packages: list[tuple[ReadPackage, Path]]) -> IndexedPlugin:
    packages.sort(key=lambda package: Version(package[0].manifest.version), reverse=True)
    newest = packages[0][0].manifest
    return IndexedPlugin(
        newest.id, newest.name, newest.type, newest.description, tuple(_version(*package) for package in packages)
    )


def _version(package: ReadPackage, path: Path) -> IndexedVersion:
    signature = path.with_name(path.name + SIGNATURE_ENDING)
    return IndexedVersion(
        version=package.manifest.version,
        file=path.name,
        sha256=package.digest,
        size=package.size,
        dependencies=dict(package.manifest.dependencies),
        signature=signature.read_text("ascii").strip() if signature.exists() else None,
    )
