"""What running child processes use, from /proc."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flexcore.application.ports import ResourceUsage

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/<pid>/stat, counted from the one behind the command's name.
_USER_TICKS, _SYSTEM_TICKS, _RESIDENT_PAGES = 11, 12, 21


@dataclass(frozen=True, slots=True)
class Running:
    """A child process and when it was started, by the monotonic clock."""

    pid: int
    started: float


def measure(processes: Iterable[Running]) -> ResourceUsage:
    """Sum up: processor time since each start in percent of one core, resident memory, open sockets."""
    cpu_percent = memory_bytes = 0.0
    sockets = 0
    for process in processes:
        # It may end while we look.
        with suppress(FileNotFoundError, ProcessLookupError):
            stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            seconds = (int(stat[_USER_TICKS]) + int(stat[_SYSTEM_TICKS])) / _TICKS
            cpu_percent += 100 * seconds / max(time.monotonic() - process.started, 1 / _TICKS)
            memory_bytes += int(stat[_RESIDENT_PAGES]) * _PAGE_BYTES
            sockets += _open_sockets(process.pid)
    return ResourceUsage(round(cpu_percent, 1), round(memory_bytes / (1 << 20), 1), sockets)


def _open_sockets(pid: int) -> int:
    number = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            number += str(descriptor.readlink()).startswith("socket:")
    return number
