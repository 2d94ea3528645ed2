"""The directory of unpacked packages: complete or not there, and nothing else in it."""

import asyncio
import stat
from pathlib import Path

import pytest

from flexcore.application.ports import PluginCode
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.packages.shelf import DirectoryShelf
from tests.unit.packages.archives import FILES, MANIFEST, tar_gz


@pytest.fixture
def shelf(tmp_path: Path) -> DirectoryShelf:
    shelf = DirectoryShelf(tmp_path / "plugins")
    asyncio.run(shelf.start())
    return shelf


def put(shelf: DirectoryShelf, path: Path) -> PluginCode:
    async def act() -> PluginCode:
        return await shelf.unpack(await shelf.read(path))

    return asyncio.run(act())


def test_what_is_unpacked_is_found_again(shelf: DirectoryShelf, tmp_path: Path) -> None:
    # Written anew, it would be another package as soon as a second has passed.
    package = tar_gz(tmp_path / "p.tar.gz", FILES)
    code = put(shelf, package)
    assert code.directory == tmp_path / "plugins" / "greeter" / code.digest[:16]
    assert code.search_path == (code.directory,)
    assert asyncio.run(shelf.find("greeter", code.digest)) == code
    assert put(shelf, package).directory == code.directory
    assert asyncio.run(shelf.find("greeter", "0" * 64)) is None
    for directory in (code.directory, code.directory.parent, tmp_path / "plugins"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o755


def test_half_a_package_is_none(shelf: DirectoryShelf, tmp_path: Path) -> None:
    path = tar_gz(tmp_path / "p.tar.gz", FILES)
    code = put(shelf, path)
    (code.directory / ".installed").unlink()
    (code.directory / "greeter.py").unlink()
    assert asyncio.run(shelf.find("greeter", code.digest)) is None
    assert (put(shelf, path).directory / "greeter.py").exists()


def test_a_manifest_that_is_none_any_more_is_unpacked_anew(shelf: DirectoryShelf, tmp_path: Path) -> None:
    path = tar_gz(tmp_path / "p.tar.gz", FILES)
    code = put(shelf, path)
    (code.directory / "flexcore-plugin.toml").write_text("id = 3")
    assert asyncio.run(shelf.find("greeter", code.digest)) is None
    assert put(shelf, path).manifest.id == "greeter"


def test_a_start_clears_what_was_left_behind(shelf: DirectoryShelf, tmp_path: Path) -> None:
    (shelf.incoming / "half").mkdir()
    asyncio.run(DirectoryShelf(tmp_path / "plugins").start())
    assert list(shelf.incoming.iterdir()) == []
    assert stat.S_IMODE(shelf.incoming.stat().st_mode) == 0o700


def test_only_what_is_used_is_kept(shelf: DirectoryShelf, tmp_path: Path) -> None:
    old = put(shelf, tar_gz(tmp_path / "p.tar.gz", FILES))
    new = put(shelf, tar_gz(tmp_path / "p.tar.gz", {**FILES, "more": ""}))
    other_manifest = MANIFEST.replace('id = "greeter"', 'id = "other"')
    other = put(shelf, tar_gz(tmp_path / "q.tar.gz", {**FILES, "flexcore-plugin.toml": other_manifest}))
    asyncio.run(shelf.clean([new]))
    assert (old.directory.exists(), new.directory.exists(), other.directory.parent.exists()) == (False, True, False)


def test_scratch_is_gone_afterwards(shelf: DirectoryShelf) -> None:
    async def act() -> Path:
        async with shelf.scratch() as directory:
            (directory / "x").touch()
            return directory

    assert not asyncio.run(act()).exists()


def test_a_directory_that_can_not_be_made_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="the directory of plugins can't be used: "):
        asyncio.run(DirectoryShelf(tmp_path / "file").start())
