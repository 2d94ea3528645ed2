"""Makes a package of a directory: the same bytes each time from the same files, whoever makes it and when."""

import gzip
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.packages.manifest_file import FILE_NAME, LARGEST_BYTES, parse_manifest
from flexcore.infrastructure.packages.package import ReadPackage, read_package

_LEFT_OUT: Final = frozenset({"__pycache__", "dist"})
_LEFT_OUT_ENDINGS: Final = (".pyc", ".tar.gz", ".sig")
_PLAIN, _EXECUTABLE = 0o644, 0o755


def build_package(source: Path, into: Path) -> tuple[Path, ReadPackage]:
    """Pack `source` as `<id>-<version>.tar.gz` in `into` and check it; raises InvalidInput, OSError.

    Hidden files, caches and earlier packages are left out.
    """
    manifest_file = source / FILE_NAME
    if not manifest_file.is_file() or manifest_file.stat().st_size > LARGEST_BYTES:
        raise InvalidInput.field(FILE_NAME, "is not there, or too large; it says what the plugin is")
    manifest = parse_manifest(manifest_file.read_bytes())
    into.mkdir(parents=True, exist_ok=True)
    target = into / f"{manifest.id}-{manifest.version}.tar.gz"
    with tempfile.TemporaryDirectory(dir=into, prefix=".build-") as scratch:
        made = Path(scratch, target.name)
        with (
            made.open("wb") as file,
            gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
            tarfile.TarFile(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in _files(source):
                _add(archive, path, path.relative_to(source).as_posix(), manifest.executable)
        read = read_package(made)
        made.replace(target)
    return target, read


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in _LEFT_OUT or path.name.endswith(_LEFT_OUT_ENDINGS):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InvalidInput.field(path.name, "is neither a file nor a directory; packages hold nothing else")
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _add(archive: tarfile.TarFile, path: Path, name: str, executable: str | None) -> None:
    info = tarfile.TarInfo(name)
    info.size = path.stat().st_size
    info.mode = _EXECUTABLE if path.stat().st_mode & 0o100 or name == executable else _PLAIN
    with path.open("rb") as file:
        archive.addfile(info, file)
