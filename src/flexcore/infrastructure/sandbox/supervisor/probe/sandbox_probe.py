"""The plugin by which the supervisor finds out what its host enforces: it tries what no plugin may do.

Each method returns why its measure does not hold, or None.
"""

import ctypes
import errno
import os
import resource
from collections.abc import Callable, Mapping
from typing import Any

import flexcore_plugin

_MEGABYTE = 1 << 20
_CLONE_NEWUTS = 0x4000000


class Probe:
    """Made and called as any plugin is."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._measures: dict[str, Callable[[], str | None]] = {
            "root": self._root,
            "seccomp": self._seccomp,
            "landlock": self._landlock,
            "rlimits": self._rlimits,
            "work_directory": self._work_directory,
            "processes": self._processes,
        }

    def try_all(self) -> dict[str, str | None]:
        """Try every measure; before that, wait until the supervisor has looked at this process from outside."""
        flexcore_plugin.emit("Waiting", "probe", {})
        return {name: measure() for name, measure in self._measures.items()}

    def use_memory(self, megabytes: int) -> None:
        """Use more memory than there is."""
        kept = [bytearray(b"x") * _MEGABYTE for _ in range(megabytes)]
        kept.clear()

    def _root(self) -> str | None:
        for path in ("/proc/1", "/sys/kernel", "/var/lib", "/etc/shadow"):
            if os.path.exists(path):  # noqa: PTH110 - the less is loaded, the better
                return f"{path} of the host is there"
        return _refused(lambda: os.close(os.open("/usr/new", os.O_WRONLY | os.O_CREAT)), errno.EROFS, errno.EACCES)

    def _seccomp(self) -> str | None:
        libc = ctypes.CDLL(None, use_errno=True)

        def unshare() -> None:
            if libc.unshare(_CLONE_NEWUTS) != 0:
                raise OSError(ctypes.get_errno(), "unshare")

        # We could: in a user namespace of our own we have every capability.
        return _refused(unshare, errno.EPERM)

    def _landlock(self) -> str | None:
        # Anybody may, by the file's mode; no mount forbids it.
        return _refused(lambda: os.close(os.open("/dev/zero", os.O_WRONLY)), errno.EACCES)

    def _rlimits(self) -> str | None:
        size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        with open("large", "wb") as file:  # noqa: PTH123
            return _refused(lambda: os.truncate(file.fileno(), size + 1), errno.EFBIG)

    def _work_directory(self) -> str | None:
        def fill() -> None:
            for number in range(8):
                with open(f"part-{number}", "wb") as file:  # noqa: PTH123
                    file.write(bytes(_MEGABYTE))

        return _refused(fill, errno.ENOSPC)

    def _processes(self) -> str | None:
        def fork() -> None:
            if os.fork() == 0:
                os._exit(0)

        return _refused(fork, errno.EPERM)


def _refused(attempt: Callable[[], None], *expected: int) -> str | None:
    try:
        attempt()
    except OSError as error:
        return None if error.errno in expected else f"it fails in another way: {error.strerror}"
    return "nothing stops it"
