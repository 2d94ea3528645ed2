"""A clock that a test can move, for one process and its children."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tests.servers import MissingServer


class MovedClock:
    """Moves the time of day of every process that runs with its `environ`; how long things take stays true.

    libfaketime answers the processes' calls for the time, so PostgreSQL's clock_timestamp() really jumps.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.move(timedelta(0))
        self.environ = {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, offset: timedelta) -> None:
        """Set the clock to the true time and `offset`."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset.total_seconds():+.0f}s\n")
        new.chmod(0o644)
        new.replace(self._file)


@contextmanager
def movable_clock() -> Iterator[MovedClock]:
    """Keep a clock for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="flexcore-clock-") as directory:
        Path(directory).chmod(0o755)  # the servers run as somebody else
        yield MovedClock(Path(directory) / "offset")


def _library() -> Path:
    # The one for programs with threads.
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    if not found:
        raise MissingServer("the tests need the library libfaketime; install the package 'faketime'")
    return found[0]
