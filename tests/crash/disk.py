"""A small file system that a test can fill up, mounted where nobody else sees it."""

import signal
from pathlib import Path

from tests.servers.server import Server, find_program

_FILL_SECONDS = 30
_SCRIPT = 'mount -t tmpfs -o "size=$1m,mode=0700" small-disk "$2" && exec sleep infinity'


class SmallDisk(Server):
    """A file system of `megabytes` in a mount namespace of its own, which a sleeping process keeps.

    Everyone who may look at that process reaches the files by `path`. There is no mount to clean up: the kernel takes
    it away with the process, and the process dies with the test.
    """

    name = "disk"

    def __init__(self, megabytes: int) -> None:
        self._unshare = find_program("unshare", "util-linux")
        self._megabytes = megabytes
        super().__init__()

    @property
    def path(self) -> Path:
        """Where the file system is while the process runs."""
        return Path(f"/proc/{self.pid}/root{self.directory}")

    def fill(self) -> None:
        """Take all the space there is."""
        with self.log.open("ab") as log:
            # Of those in the name space it is the only user there is.
            self._spawn(["sh", "-c", 'cat /dev/zero >> "$1"', "sh", str(self._filler)], log).wait(_FILL_SECONDS)

    def empty(self) -> None:
        """Give the space back."""
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def _prepare(self) -> None:
        self.log.touch()

    def _command(self) -> list[str]:
        # In a user namespace of its own anyone may mount.
        namespaces = [self._unshare, "--user", "--map-current-user", "--keep-caps", "--mount"]
        return [*namespaces, "sh", "-c", _SCRIPT, "sh", str(self._megabytes), str(self.directory)]

    def _stop_signal(self) -> signal.Signals:
        return signal.SIGTERM

    def _answers(self) -> bool:
        return self.path.stat().st_dev != self.directory.stat().st_dev
