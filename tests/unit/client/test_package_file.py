"""A package on this host: which manifest in it counts, what is said of one that is none, and how it is sent."""

from __future__ import annotations

import bz2
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from flexcore_client import package_file
from flexcore_client.errors import InputError
from flexcore_client.package_file import read_manifest, upload

MANIFEST = "flexcore-plugin.toml"
Files = dict[str, str]
Pack = Callable[[Path, Files], Path]
Make = Callable[[Path], Path]


def manifest(plugin_id: str = "greeter") -> str:
    return f'id = "{plugin_id}"\nversion = "1.2.0"\n'


def wheel(directory: Path, files: Files) -> Path:
    path = directory / "greeter.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return path


def archive(directory: Path, files: Files) -> Path:
    path = directory / "greeter.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize(
    "files",
    [
        {MANIFEST: manifest()},
        {"greeter/__init__.py": "", f"greeter/{MANIFEST}": manifest()},
        {f"greeter-1.2.0.dist-info/{MANIFEST}": manifest()},
        {f"a/{MANIFEST}": manifest("nearer the top counts"), MANIFEST: manifest()},
        {f"a/b/{MANIFEST}": manifest("too deep"), f"greeter/{MANIFEST}": manifest()},
    ],
)
def test_the_manifest_of_a_wheel(files: Files, tmp_path: Path) -> None:
    assert read_manifest(str(wheel(tmp_path, files))) == {"id": "greeter", "version": "1.2.0"}


@pytest.mark.parametrize(
    "files",
    [
        {MANIFEST: manifest()},
        {f"./{MANIFEST}": manifest()},
        {"greeter/plugin.py": "no TOML", "README": "nor this", f"greeter/{MANIFEST}": manifest()},
        {f"./greeter/{MANIFEST}": manifest()},
        {f"greeter/tests/{MANIFEST}": manifest("too deep"), f"greeter/{MANIFEST}": manifest()},
        {f"other/{MANIFEST}/": "", f"greeter/{MANIFEST}": manifest()},
    ],
)
def test_the_manifest_of_an_archive(files: Files, tmp_path: Path) -> None:
    assert read_manifest(str(archive(tmp_path, files))) == {"id": "greeter", "version": "1.2.0"}


@pytest.mark.parametrize("pack", [wheel, archive])
def test_a_manifest_that_lies_deeper_is_none(pack: Pack, tmp_path: Path) -> None:
    path = pack(tmp_path, {f"greeter/tests/{MANIFEST}": manifest(), "greeter/plugin.py": ""})
    with pytest.raises(InputError) as caught:
        read_manifest(str(path))
    assert str(caught.value) == f"src {path} has no flexcore-plugin.toml: build it as a FlexCore plugin"


@pytest.mark.parametrize("pack", [wheel, archive])
def test_no_more_than_a_mebibyte_of_a_manifest_is_read(pack: Pack, tmp_path: Path) -> None:
    path = pack(tmp_path, {MANIFEST: manifest() + "#" * (1 << 20) + "\nno TOML"})
    assert read_manifest(str(path))["id"] == "greeter"


def damaged(directory: Path) -> Path:
    path = wheel(directory, {MANIFEST: manifest()})
    whole = path.read_bytes()
    content = 30 + len(MANIFEST)
    path.write_bytes(whole[:content] + b"\xff" * 4 + whole[content + 4 :])
    return path


def encrypted(directory: Path) -> Path:
    path = wheel(directory, {MANIFEST: manifest()})
    whole = path.read_bytes()
    entry = whole.index(b"PK\x01\x02")
    marked = [whole[:6], b"\x01", whole[7 : entry + 8], b"\x01", whole[entry + 9 :]]
    path.write_bytes(b"".join(marked))
    return path


def truncated(directory: Path) -> Path:
    path = archive(directory, {MANIFEST: manifest()})
    path.write_bytes(path.read_bytes()[:30])
    return path


def otherwise_compressed(directory: Path) -> Path:
    path = archive(directory, {MANIFEST: manifest()})
    path.write_bytes(bz2.compress(zlib.decompress(path.read_bytes(), wbits=31)))
    return path


def no_zip(directory: Path) -> Path:
    path = directory / "greeter.whl"
    path.write_bytes(b"PK")
    return path


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (damaged, "cannot be read: Error -3 while decompressing data: invalid block type"),
        (encrypted, f"cannot be read: File '{MANIFEST}' is encrypted, password required for extraction"),
        (truncated, "cannot be read: Compressed file ended before the end-of-stream marker was reached"),
        (otherwise_compressed, "cannot be read: not a gzip file"),
        (no_zip, "cannot be read: File is not a zip file"),
        (lambda directory: directory / "none.whl", "cannot be read: No such file or directory"),
        (lambda directory: directory / "none.tar.gz", "cannot be read: No such file or directory"),
        (lambda directory: wheel(directory, {MANIFEST: 'version = "1"'}), f": its {MANIFEST} names no id"),
        (lambda directory: wheel(directory, {MANIFEST: 'id = "g"\nversion = 1'}), f": its {MANIFEST} names no version"),
    ],
)
def test_a_package_that_cannot_be_used_is_told_with_its_reason(make: Make, why: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_manifest(str(path))
    assert str(caught.value) == f"src {path}{'' if why.startswith(':') else ' '}{why}"


@pytest.mark.parametrize("content", ["id = ", b"\xff"])
def test_a_manifest_that_is_no_toml(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "greeter.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(MANIFEST, content)
    with pytest.raises(InputError, match=rf"^src {path}: its flexcore-plugin\.toml cannot be read: .*(value|decode)"):
        read_manifest(str(path))


def test_another_ending_is_refused_before_the_file_is_opened() -> None:
    with pytest.raises(InputError) as caught:
        read_manifest("/nowhere/greeter.zip")
    assert str(caught.value) == "src is /nowhere/greeter.zip: allowed are packages that end in .whl or .tar.gz"


def test_a_python_without_toml_is_told_where_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_file, "tomllib", None)
    with pytest.raises(InputError) as caught:
        read_manifest("greeter.whl")
    assert str(caught.value) == (
        "src cannot be read under Python before 3.11: run the task under FlexCore's own interpreter"
    )


def test_an_upload_is_one_part_of_a_form(tmp_path: Path) -> None:
    path = tmp_path / 'größe "1";\r\n_1.2+b-3.whl'
    path.write_bytes(b"all of it")
    body = upload(str(path))
    named = re.fullmatch(r"multipart/form-data; boundary=([0-9a-f]{32})", body.content_type)
    assert named is not None
    expected = (
        f'--{named[1]}\r\nContent-Disposition: form-data; name="package"; filename="gr??e__1_____1.2+b-3.whl"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\nall of it\r\n--{named[1]}--\r\n"
    ).encode()
    for _attempt in range(2):
        assert b"".join(body.parts()) == expected
    assert body.length == len(expected)
    assert upload(str(path)).content_type != body.content_type


def test_an_upload_is_read_while_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "greeter.whl"
    path.write_bytes(b"x" * 150_000)
    body = upload(str(path))
    _head, *parts, _tail = [len(part) for part in body.parts()]
    assert parts == [65_536, 65_536, 18_928]


def test_an_upload_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        upload("/nowhere/greeter.whl")
    assert str(caught.value) == "src /nowhere/greeter.whl cannot be read: No such file or directory"
