"""A plugin's package on this host: what its manifest calls it, and the package as the body of an upload."""

from __future__ import annotations

import struct
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import InputError
from .http_message import Body

try:
    import tomllib
except ImportError:  # Python before 3.11
    tomllib = None  # type: ignore[assignment]  # whoever reads a manifest says what to do without it

MANIFEST = "flexcore-plugin.toml"
LARGEST_MANIFEST = 1 << 20
ENDINGS = (".whl", ".tar.gz")
PART = 1 << 16
# What the libraries raise for a package that is damaged, encrypted or packed in a way of its own.
UNREADABLE = (
    *(OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, struct.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


def read_manifest(path: str) -> dict[str, Any]:
    """Read the manifest in a package; raises InputError that says what is wrong with the file."""
    if not path.endswith(ENDINGS):
        raise InputError(f"src is {path}: allowed are packages that end in {' or '.join(ENDINGS)}")
    if tomllib is None:
        raise InputError("src cannot be read under Python before 3.11: run the task under FlexCore's own interpreter")
    try:
        raw = _from_wheel(path) if path.endswith(".whl") else _from_archive(path)
    except UNREADABLE as error:
        raise InputError(f"src {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if raw is None:
        raise InputError(f"src {path} has no {MANIFEST}: build it as a FlexCore plugin")
    try:
        manifest = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"src {path}: its {MANIFEST} cannot be read: {error}") from None
    for name in ("id", "version"):
        if not isinstance(manifest.get(name), str):
            raise InputError(f"src {path}: its {MANIFEST} names no {name}")
    return manifest


def upload(path: str) -> Body:
    """Return the package as the body of a request, read while it is sent; raises InputError."""
    try:
        size = Path(path).stat().st_size
    except OSError as error:
        raise InputError(f"src {path} cannot be read: {error.strerror}") from None
    boundary = uuid.uuid4().hex
    name = "".join(c if c.isalnum() or c in "._+-" else "_" for c in Path(path).name)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="package"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode("ascii", "replace")
    tail = f"\r\n--{boundary}--\r\n".encode()

    def parts() -> Iterator[bytes]:
        yield head
        with Path(path).open("rb") as file:
            while part := file.read(PART):
                yield part
        yield tail

    return Body(f"multipart/form-data; boundary={boundary}", len(head) + size + len(tail), parts)


def _from_wheel(path: str) -> bytes | None:
    """Find the manifest in the wheel's package or its .dist-info."""
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if PurePosixPath(name).name == MANIFEST and name.count("/") <= 1]
        for name in sorted(names, key=lambda name: name.count("/")):
            with wheel.open(name) as file:
                return file.read(LARGEST_MANIFEST)
    return None


def _from_archive(path: str) -> bytes | None:
    """Find the manifest at the top of the archive, or in the one directory that wraps it."""
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            place = PurePosixPath(member.name)
            wanted = member.isfile() and place.name == MANIFEST and len(place.parts) <= 2
            if wanted and (file := archive.extractfile(member)):
                return file.read(LARGEST_MANIFEST)
    return None
