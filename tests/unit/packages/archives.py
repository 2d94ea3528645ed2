"""Packages, good and bad, made on the spot."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MANIFEST = """\
id = "greeter"
name = "Greeter"
version = "1.2.0"
type = "processor"
entry_point = "greeter:Greeter"
[commands.greet]
default = true
"""
FILES = {"flexcore-plugin.toml": MANIFEST, "greeter.py": "class Greeter:\n    pass\n"}
DIST_INFO = "greeter-1.2.0.dist-info"
WHEEL_FILE = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def file(name: str, **changes: Any) -> tarfile.TarInfo:
    """Make a tar's entry with unusual attributes."""
    info = tarfile.TarInfo(name)
    for attribute, value in changes.items():
        setattr(info, attribute, value)
    return info


def tar_gz(path: Path, files: Mapping[str, str | bytes], also: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> Path:
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        entries = [(file(name), _bytes(content)) for name, content in files.items()]
        for info, content in [*entries, *also]:
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def whl(
    path: Path,
    files: Mapping[str, str | bytes],
    also: Iterable[tuple[zipfile.ZipInfo, bytes]] = (),
    tag: str = WHEEL_FILE,
) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, f"{DIST_INFO}/WHEEL": tag}.items():
            archive.writestr(name, content)
        for info, content in also:
            archive.writestr(info, content)
    return path


def wheel_bytes(
    tmp_path: Path, files: Mapping[str, str | bytes], name: str = "inner.whl", tag: str = WHEEL_FILE
) -> bytes:
    return whl(tmp_path / name, files, tag=tag).read_bytes()


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
