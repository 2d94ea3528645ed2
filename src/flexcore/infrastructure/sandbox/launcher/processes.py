"""What /proc says of processes, where nothing that a plugin says counts: whose they are, and what they use."""

import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/<pid>/stat, counted from the one behind the command's name: processor time of the process itself in
# both modes and of its children that ended, and the pages it has in memory.
_PROCESSOR_TICKS: Final = slice(11, 15)
_RESIDENT_PAGES: Final = 21


def measure(pid: int) -> tuple[int, int]:
    """Give the processor time in milliseconds and the memory in bytes of a process and its descendants."""
    ticks = pages = 0
    for process in descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[_PROCESSOR_TICKS]))
            pages += int(fields[_RESIDENT_PAGES])
    return round(ticks * 1000 / _TICKS), pages * _PAGE_BYTES


def descendants(pid: int, enough: int = 1 << 16) -> list[int]:
    """Name a process and its descendants, and stop looking once there are `enough`."""
    found = [pid]
    for parent in found:
        if len(found) >= enough:
            break
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def owner(thread: int, known: Container[int]) -> int:
    """Find which of the `known` processes a thread belongs to: its own, or an ancestor of that; 0 if none."""
    pid = thread
    while pid > 1 and pid not in known:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        fields = dict(line.split(":", 1) for line in lines if line.startswith(("Tgid:", "PPid:")))
        group = int(fields["Tgid"])
        pid = group if group != pid else int(fields["PPid"])
    return pid if pid in known else 0


def is_our_child(pid: int) -> bool:
    """Say whether it is, and has not been buried yet: then its number is nobody else's."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
