"""Packages: what is read, what is refused with which reason, and what lies on the disk afterwards."""

import hashlib
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.packages.archive import Bounds
from flexcore.infrastructure.packages.build import build_package
from flexcore.infrastructure.packages.package import read_package, unpack
from tests.unit.packages.archives import DIST_INFO, FILES, MANIFEST, WHEEL_FILE, file, tar_gz, wheel_bytes, whl

EXECUTABLE = MANIFEST.replace('entry_point = "greeter:Greeter"', 'executable = "bin/greet"')


def unpacked(package: Path, **bounds: int) -> dict[str, str]:
    """Unpack it, and say what is there with which mode."""
    into = package.parent / "unpacked"
    into.mkdir()
    unpack(package, into, Bounds(**bounds))
    return {
        str(path.relative_to(into)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in into.rglob("*")
        if path.is_file()
    }


def problems(package: Path, **bounds: int) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_package(package, Bounds(**bounds))
    assert caught.value.errors
    return str(caught.value)


def test_a_tar_gz_is_read_and_unpacked(tmp_path: Path) -> None:
    package = tar_gz(tmp_path / "p.tar.gz", {**FILES, "data/names.txt": "Ada"}, [(file("tool", mode=0o700), b"#!")])
    read = read_package(package)
    assert (read.manifest.id, read.manifest.version, read.size) == ("greeter", "1.2.0", package.stat().st_size)
    assert read.digest == hashlib.sha256(package.read_bytes()).hexdigest()
    assert unpacked(package) == {
        "flexcore-plugin.toml": "0o644",
        "greeter.py": "0o644",
        "data/names.txt": "0o644",
        "tool": "0o755",
    }


@pytest.mark.parametrize("prefix", ["greeter-1.2.0/", "./"])
def test_one_directory_may_hold_everything(tmp_path: Path, prefix: str) -> None:
    package = tar_gz(tmp_path / "p.tar.gz", {f"{prefix}{name}": content for name, content in FILES.items()})
    assert set(unpacked(package)) == set(FILES)


@pytest.mark.parametrize("place", ["", f"{DIST_INFO}/"])
def test_a_wheel_goes_to_site_packages(tmp_path: Path, place: str) -> None:
    files = {
        f"{place}flexcore-plugin.toml": MANIFEST,
        "greeter/__init__.py": "",
        "greeter-1.2.0.data/purelib/more.py": "",
        "greeter-1.2.0.data/scripts/run": "",
    }
    found = unpacked(whl(tmp_path / "p.whl", files))
    assert "site-packages/greeter/__init__.py" in found
    assert "site-packages/more.py" in found
    assert not any("scripts" in name for name in found)


def test_bundled_wheels_are_unpacked_without_running_anything(tmp_path: Path) -> None:
    wheels = {
        "wheels/a.whl": wheel_bytes(tmp_path, {"greeter/__init__.py": "", "a-1.dist-info/WHEEL": WHEEL_FILE}),
    }
    wheels["wheels/a.whl"] = wheel_bytes(tmp_path, {"library/__init__.py": "raise SystemExit"})
    found = unpacked(tar_gz(tmp_path / "p.tar.gz", {**FILES, **wheels}))
    assert found["site-packages/library/__init__.py"] == "0o644"
    assert not any(name.startswith("wheels") for name in found)


def test_wheels_that_bring_the_same_file_are_refused(tmp_path: Path) -> None:
    one, two = (wheel_bytes(tmp_path, {"library.py": text}, f"{text}.whl") for text in ("one", "two"))
    package = tar_gz(tmp_path / "p.tar.gz", {**FILES, "wheels/one.whl": one, "wheels/two.whl": two})
    assert "package has 'library.py' in more than one wheel: wheels/one.whl, wheels/two.whl" in problems(package)
    vendored = {**FILES, "wheels/one.whl": one, "site-packages/library.py": ""}
    assert "has 'site-packages/library.py' itself" in problems(tar_gz(tmp_path / "q.tar.gz", vendored))


def test_a_wheel_for_another_python_is_refused(tmp_path: Path) -> None:
    tag = "Wheel-Version: 1.0\nTag: cp27-cp27m-win32\n"
    inner = wheel_bytes(tmp_path, {"library.py": ""}, tag=tag)
    found = problems(tar_gz(tmp_path / "p.tar.gz", {**FILES, "wheels/old.whl": inner}))
    assert "package.wheels/old.whl can't be used here: old.whl is for cp27-cp27m-win32" in found


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (file("../../etc/cron.d/x"), "'../../etc/cron.d/x', which leads out of the package"),
        (file("a/../../x"), "which leads out of the package"),
        (file("/etc/x"), "'/etc/x', which has an absolute path"),
        (file("C:/x"), "which has an absolute path"),
        (file("a\\b"), "which has a backslash"),
        (file("a\x01b"), "a character that can't be seen"),
        (file("a\u202eb"), "a character that can't be seen"),
        (file("a//b"), "which has no proper path"),
        (file("a" * 300), "which has a name that is too long"),
        (file("x", type=tarfile.SYMTYPE, linkname="/etc/shadow"), "'x', which is a link"),
        (file("x", type=tarfile.SYMTYPE, linkname="greeter.py"), "'x', which is a link"),
        (file("x", type=tarfile.LNKTYPE, linkname="../../etc/shadow"), "'x', which is a link"),
        (file("x", type=tarfile.CHRTYPE, devmajor=1, devminor=1), "is neither a file nor a directory"),
        (file("x", type=tarfile.BLKTYPE, devmajor=8), "is neither a file nor a directory"),
        (file("x", type=tarfile.FIFOTYPE), "is neither a file nor a directory"),
        (file("x", mode=0o4755), "which has a setuid, setgid or sticky bit"),
        (file("x", mode=0o2755), "which has a setuid, setgid or sticky bit"),
        (file("x", pax_headers={"size": "-512"}), "which is smaller than nothing"),
        (file("/".join("a" * 33)), "which lies too deep"),
        (file("greeter.py"), "holds 'greeter.py' twice"),
        (file("Greeter.PY"), "holds 'Greeter.PY' and 'greeter.py', which clash"),
        (file("greeter\N{FULLWIDTH FULL STOP}py"), "which clash"),
        (file("greeter.py/x"), "holds 'greeter.py/x' below 'greeter.py', which is a file"),
        (file(".installed"), "'.installed', a name that FlexCore needs"),
    ],
    ids=lambda value: value.name[:20].encode("unicode_escape").decode() if isinstance(value, tarfile.TarInfo) else "",
)
def test_a_tar_that_would_do_harm_is_refused(tmp_path: Path, entry: tarfile.TarInfo, reason: str) -> None:
    package = tar_gz(tmp_path / "p.tar.gz", FILES, [(entry, b"")])
    assert reason in problems(package)
    with pytest.raises(InvalidInput):
        unpacked(package)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    found = problems(tar_gz(tmp_path / "p.tar.gz", FILES, [(file("../x"), b""), (file("/y"), b"")]))
    assert "'../x'" in found
    assert "'/y'" in found


def zip_entry(name: str, mode: int = stat.S_IFREG | 0o644, **changes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for attribute, value in changes.items():
        setattr(info, attribute, value)
    return info


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (zip_entry("../x"), "which leads out of the package"),
        (zip_entry("/x"), "which has an absolute path"),
        (zip_entry("x", stat.S_IFLNK | 0o777), "'x', which is a link"),
        (zip_entry("x", stat.S_IFCHR), "is neither a file nor a directory"),
        (zip_entry("x", stat.S_IFREG | 0o4755), "which has a setuid, setgid or sticky bit"),
        (zip_entry("GREETER.py"), "which clash"),
        (zip_entry("x", compress_type=zipfile.ZIP_LZMA), "is compressed in an unusual way"),
    ],
)
def test_a_wheel_that_would_do_harm_is_refused(tmp_path: Path, entry: zipfile.ZipInfo, reason: str) -> None:
    assert reason in problems(whl(tmp_path / "p.whl", FILES, [(entry, b"x")]))


def test_bombs_are_refused(tmp_path: Path) -> None:
    bomb = {**FILES, "zeros": bytes(40 << 20)}
    assert "unpacks to more than 200 times its size" in problems(tar_gz(tmp_path / "p.tar.gz", bomb))
    assert "unpacks to more than 200 times its size" in problems(whl(tmp_path / "p.whl", bomb))
    assert "more than 1000" in problems(whl(tmp_path / "q.whl", bomb), unpacked_bytes=1000)
    assert "more than 1000" in problems(
        tar_gz(tmp_path / "q.tar.gz", {**FILES, "x": os.urandom(2000)}), unpacked_bytes=1000
    )
    many = {**FILES, **{str(n): "" for n in range(30)}}
    assert "more than 20 entries" in problems(tar_gz(tmp_path / "r.tar.gz", many), entries=20)
    assert "more than 20 entries" in problems(whl(tmp_path / "r.whl", many), entries=20)


def test_a_bomb_inside_a_bundled_wheel_is_refused(tmp_path: Path) -> None:
    inner = wheel_bytes(tmp_path, {"zeros": bytes(40 << 20)})
    assert "times its size" in problems(tar_gz(tmp_path / "p.tar.gz", {**FILES, "wheels/a.whl": inner}))


def test_a_zip_whose_directory_lies_is_refused(tmp_path: Path) -> None:
    package = whl(tmp_path / "p.whl", FILES)
    content = bytearray(package.read_bytes())
    end = content.rfind(b"PK\x05\x06")
    struct.pack_into("<L", content, end + 12, 100 << 20)
    package.write_bytes(content)
    assert "has a directory of entries that is too large" in problems(package)
    content = bytearray(whl(tmp_path / "q.whl", FILES).read_bytes())
    place = content.find(b"PK\x01\x02")
    struct.pack_into("<L", content, place + 24, 5)
    package.write_bytes(content)
    assert "greeter" in problems(package) or "damaged" in problems(package) or "lies" in problems(package)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x1f\x8b", b"\x1f\x8b\x08\0garbage", b"#!/bin/sh\n", b"PK\x03\x04" + b"x" * 1000]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    package = tmp_path / "p.whl"
    package.write_bytes(content)
    assert problems(package).startswith("package ")


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    package = tar_gz(tmp_path / "p.tar.gz", {**FILES, "x": os.urandom(5000)})
    package.write_bytes(package.read_bytes()[:-2000])
    assert "is damaged" in problems(package)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"greeter.py": ""}, "must have one flexcore-plugin.toml at its top, and has none"),
        ({"a/flexcore-plugin.toml": MANIFEST, "b/greeter.py": ""}, "and has none"),
        ({"flexcore-plugin.toml": MANIFEST}, "entry_point names the module 'greeter', which is not in the package"),
        ({"flexcore-plugin.toml": EXECUTABLE}, "executable 'bin/greet' is not in the package"),
    ],
)
def test_a_package_without_what_it_promises_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    assert message in problems(tar_gz(tmp_path / "p.tar.gz", files))


def test_the_executable_can_be_executed(tmp_path: Path) -> None:
    package = tar_gz(tmp_path / "p.tar.gz", {"flexcore-plugin.toml": EXECUTABLE, "bin/greet": "#!/bin/sh"})
    assert unpacked(package)["bin/greet"] == "0o755"
    assert "needs a .tar.gz" in problems(whl(tmp_path / "p.whl", {"flexcore-plugin.toml": EXECUTABLE}))


def test_a_directory_always_makes_the_same_package(tmp_path: Path) -> None:
    made = []
    for number in range(2):
        source = tmp_path / f"source{number}"
        for name, content in {**FILES, "b/x.txt": "", ".git/config": "", "__pycache__/a.pyc": ""}.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(content)
        os.utime(source / "greeter.py", (number, number))
        path, read = build_package(source, source / "dist")
        assert (path.name, read.manifest.id) == ("greeter-1.2.0.tar.gz", "greeter")
        build_package(source, source / "dist")
        made.append(path.read_bytes())
    assert made[0] == made[1]
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["b/x.txt", "flexcore-plugin.toml", "greeter.py"]


def test_a_directory_that_makes_no_package_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"flexcore-plugin\.toml is not there"):
        build_package(tmp_path, tmp_path)
    (tmp_path / "flexcore-plugin.toml").write_text(MANIFEST)
    with pytest.raises(InvalidInput, match="names the module 'greeter'"):
        build_package(tmp_path, tmp_path / "dist")
    assert list((tmp_path / "dist").iterdir()) == []
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match="link is neither"):
        build_package(tmp_path, tmp_path / "dist")
