"""How much memory a process and its children hold."""

from pathlib import Path


def resident_megabytes(pid: int) -> float:
    """Resident set sizes of the process and everything it started, added up; pages that they share count twice."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return own / 1024 + sum(resident_megabytes(int(child)) for child in children)
