"""How much memory a process and its children hold."""

from contextlib import suppress
from pathlib import Path


def resident_megabytes(pid: int) -> float:
    """Resident set sizes of the process and everything it started, added up; pages that they share count twice."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return own / 1024 + sum(resident_megabytes(int(child)) for child in children)


def proportional_megabytes(pid: int) -> float:
    """Proportional set sizes of the process and everything below it, added up: a shared page counts once in all.

    Processes that end meanwhile count nothing. Those of other users can only be read by root.
    """
    total = 0
    for process in (pid, *descendants(pid)):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def descendants(pid: int) -> list[int]:
    """Every process that the threads of `pid` or its descendants started, and that still runs."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                found += (child, *descendants(child))
    return found
