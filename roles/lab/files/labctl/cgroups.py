"""The cgroups of a host, under cgroup v2 alone and under v2 beside v1.

A host's processes live in its cgroups and nowhere else, so these tell whether it runs, and end or freeze it whole.
"""

import errno
import os
from pathlib import Path

from commands import LabError, wait_until

ROOT = Path("/sys/fs/cgroup")
# Where v2 stands beside v1, the v1 controllers that a host's systemd needs for its units' limits to bite.
V1_CONTROLLERS = ("systemd", "memory", "pids", "cpu", "cpuacct")
V2_CONTROLLERS = {"memory", "pids", "cpu"}
KILL_SECONDS = 30


def v2_root() -> Path:
    """Where cgroup v2 is mounted. Raises LabError on a machine without it."""
    for candidate in (ROOT, ROOT / "unified"):
        if (candidate / "cgroup.controllers").exists():
            return candidate
    raise LabError("this machine has no cgroup v2 below /sys/fs/cgroup: a lab needs it, alone or beside v1")


def hierarchies() -> list[Path]:
    """Every hierarchy in which a host gets a group of its own; the v2 one first."""
    v2 = v2_root()
    v1 = [ROOT / controller for controller in V1_CONTROLLERS] if v2 != ROOT else []
    return [v2, *(root for root in v1 if (root / "cgroup.procs").exists())]


def now(file: Path) -> str:
    """Read a file of the kernel's; empty if the process or the group that it is about has just gone."""
    try:
        return file.read_text()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH, errno.ENODEV):
            return ""
        raise


class HostGroup:
    """The group of one host, of the same path in every hierarchy.

    Its part `keeper` holds the process that outlives a reboot and its part `boot` the host itself. They are apart
    because a v2 group that passes controllers on may hold no process of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.v2 = path, v2_root() / path

    def make(self) -> None:
        """Make the group in every hierarchy, and under v2 alone pass the controllers down to it."""
        for root in hierarchies():
            for part in ("keeper", "boot"):
                (root / self.path / part).mkdir(parents=True, exist_ok=True)
        if v2_root() == ROOT:
            for group in (*reversed(self.path.parents), self.path):
                offered = V2_CONTROLLERS.intersection((ROOT / group / "cgroup.controllers").read_text().split())
                (ROOT / group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in offered))

    def enter(self, part: str) -> None:
        """Move the calling process into a part of the group."""
        for root in hierarchies():
            (root / self.path / part / "cgroup.procs").write_text("0")

    def populated(self, part: str = "") -> bool:
        """Whether a process lives in the group, or in one part of it."""
        return "populated 1" in now(self.v2 / part / "cgroup.events")

    def init_pid(self) -> int | None:
        """Find the process that is number 1 inside the host: its id on this machine."""
        for directory, _, _ in os.walk(self.v2 / "boot"):
            for pid in now(Path(directory, "cgroup.procs")).split():
                if f"NSpid:\t{pid}\t1\n" in now(Path("/proc", pid, "status")):
                    return int(pid)
        return None

    def freeze(self, frozen: bool) -> None:
        """Stop every process where it is, or let them go on."""
        if self.v2.exists():
            (self.v2 / "cgroup.freeze").write_text(str(int(frozen)))

    def kill(self) -> None:
        """End every process at once. Raises LabError if one survives."""
        if self.v2.exists():
            (self.v2 / "cgroup.kill").write_text("1")
        if not wait_until(lambda: not self.populated(), KILL_SECONDS):
            raise LabError(f"processes in {self.v2} survive SIGKILL")

    def remove(self) -> None:
        """Remove the group from every hierarchy, and the groups above it that no other host needs."""
        for root in hierarchies():
            for directory in sorted((root / self.path).glob("**/"), reverse=True):
                directory.rmdir()
            for parent in list(self.path.parents)[:-1]:
                if (root / parent).exists() and not any(entry.is_dir() for entry in (root / parent).iterdir()):
                    (root / parent).rmdir()
