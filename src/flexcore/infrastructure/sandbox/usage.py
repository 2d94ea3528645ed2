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
# Column of /proc/<pid>/net/tcp.
_SOCKET_INODE = 9


@dataclass(frozen=True, slots=True)
class Running:
    """A child process and when it was started, by the monotonic clock."""

    pid: int
    started: float


def measure(processes: Iterable[Running]) -> ResourceUsage:
    """Sum up: processor time since each start in percent of one core, resident memory, TCP connections."""
    cpu_percent = memory_bytes = 0.0
    connections = 0
    for process in processes:
        # It may end while we look.
        with suppress(FileNotFoundError, ProcessLookupError):
            stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            seconds = (int(stat[_USER_TICKS]) + int(stat[_SYSTEM_TICKS])) / _TICKS
            cpu_percent += 100 * seconds / max(time.monotonic() - process.started, 1 / _TICKS)
            memory_bytes += int(stat[_RESIDENT_PAGES]) * _PAGE_BYTES
            connections += _tcp_connections(process.pid)
    return ResourceUsage(round(cpu_percent, 1), round(memory_bytes / (1 << 20), 1), connections)


def _tcp_connections(pid: int) -> int:
    open_files = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            open_files.add(str(descriptor.readlink()))
    # The pipes to the server are sockets as well, but not in these tables.
    tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text().partition("\n")[2] for name in ("tcp", "tcp6"))
    inodes = (line.split()[_SOCKET_INODE] for line in tables.splitlines())
    return sum(f"socket:[{inode}]" in open_files for inode in inodes)
