"""The root directory that a plugin sees: read-only, and nothing in it that the plugin has no use for."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from flexcore.infrastructure.sandbox.launcher import linux

WORK: Final = "/home/plugin"
ABOVE_WORK: Final = "/home"
"""Landlock's rules hold below a mount only if they are for a directory above the one that is mounted on."""

DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
WRITABLE_DEVICES: Final = ("/dev/null", "/dev/full")

# Where we put it together. It is there on every host, and nobody but us sees the change.
_TEMPORARY: Final = "/tmp"  # noqa: S108
_STAGE: Final = Path(_TEMPORARY)
_STAGE_OPTIONS: Final = "mode=0755,size=1m,nr_inodes=4096"
_READ_ONLY: Final = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
_FROM_ETC: Final = ("ld.so.cache", "localtime", "timezone", "ssl/certs", "alternatives", "mime.types", "services")
_OWN_ETC: Final = {
    "passwd": "nobody:x:65534:65534:plugin:/home/plugin:/usr/sbin/nologin\n",
    "group": "nogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
# To show these would show the host.
_NEVER: Final = ("/proc/", "/sys/", "/dev/")


class RootError(Exception):
    """A path that the plugin is to see can't be shown to it."""


def build(*, readable: Sequence[str], read: Sequence[str], write: Sequence[str]) -> None:
    """Put the root together in this mount namespace; raises OSError or RootError.

    `readable` is what the plugin is made of; `read` and `write` are what its permissions name.
    """
    for path in (*read, *write):
        real = os.path.realpath(path)
        if real == "/" or f"{real}/".startswith(_NEVER):
            raise RootError(f"the path '{path}' may not be shown to a plugin")
    plan = dict.fromkeys((*_system(), *readable, *read), _READ_ONLY)
    plan.update(dict.fromkeys(write, linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC))
    plan.update(dict.fromkeys(DEVICES, linux.MS_NOSUID | linux.MS_NOEXEC))
    # Opened first: the stage hides what is below it, and that may be some of these.
    sources = sorted((os.path.realpath(path), _open(path), flags) for path, flags in plan.items())
    links = {path: Path(path).readlink() for path in _system_links()}

    linux.mount("tmpfs", str(_STAGE), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, _STAGE_OPTIONS)
    for path, target in links.items():
        _place(path).symlink_to(target)
    for name, text in _OWN_ETC.items():
        _place(f"/etc/{name}").write_text(text)
    _place(WORK).mkdir()
    for path, source, flags in sources:
        _bind(path, source, flags)
    for path in plan:
        if not os.path.lexists(_place(path)):
            _place(path).symlink_to(os.path.realpath(path))
    if not os.path.lexists(_place(_TEMPORARY)):
        _place(_TEMPORARY).symlink_to(WORK)


def enter() -> None:
    """Make what `build` put together the root of this process, in a mount namespace of its own, with no way back."""
    linux.unshare(linux.CLONE_NEWNS)
    # Its own mount once more: one that came with the namespace can't become the root.
    linux.mount(str(_STAGE), str(_STAGE), None, linux.MS_BIND | linux.MS_REC)
    os.chdir(_STAGE)
    linux.pivot_root(".", ".")
    linux.unmount(".", linux.MNT_DETACH)
    os.chdir("/")
    linux.mount("none", "/", None, linux.MS_REMOUNT | linux.MS_BIND | _READ_ONLY)


def _system() -> Iterator[str]:
    """Name what any program needs, and what this interpreter needs where it is installed elsewhere."""
    yield "/usr"
    for path in _beside_usr():
        if path.is_dir() and not path.is_symlink():
            yield str(path)
    for name in _FROM_ETC:
        path = Path("/etc", name)
        if path.exists() and not path.is_symlink():
            yield str(path)
    for prefix in {sys.base_prefix, sys.base_exec_prefix}:
        if not Path(prefix).is_relative_to("/usr"):
            yield prefix


def _system_links() -> Iterator[str]:
    for path in (*_beside_usr(), *(Path("/etc", name) for name in _FROM_ETC)):
        if path.is_symlink():
            yield str(path)


def _beside_usr() -> Iterator[Path]:
    """Give the directories that are links into /usr on some systems, and on others are not."""
    return (path for path in Path("/").iterdir() if path.name.startswith(("lib", "bin", "sbin")))


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise RootError(f"the path '{path}' can't be shown to the plugin: {error.strerror}") from error


def _place(path: str) -> Path:
    """Find the place of `path` on the stage, with its parents made. Links on the stage point to where they belong."""
    place = _STAGE / path.removeprefix("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _bind(path: str, source: int, flags: int) -> None:
    place = _place(path)
    if not place.exists():
        if Path(f"/proc/self/fd/{source}").is_dir():
            place.mkdir()
        else:
            place.touch()
    linux.mount(f"/proc/self/fd/{source}", str(place), None, linux.MS_BIND | linux.MS_REC)
    linux.set_mount_attributes(str(place), flags)
    os.close(source)
