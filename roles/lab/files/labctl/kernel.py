"""Settings of this machine's kernel that labs change, and that the last lab to go puts back."""

import json
from pathlib import Path

INOTIFY_INSTANCES_PER_HOST = 10
INOTIFY_INSTANCES_RAISED = 1024


def path_of(setting: str) -> Path:
    """Name the file of a sysctl setting."""
    return Path("/proc/sys", *setting.split("."))


class KernelSettings:
    """Changes settings and remembers, in a file beside the labs, what was there first."""

    def __init__(self, labs: Path) -> None:
        self.labs, self.memory = labs, labs / "kernel-settings.json"

    def originals(self) -> dict[str, str]:
        """Read the values from before any lab."""
        return dict(json.loads(self.memory.read_text())) if self.memory.exists() else {}

    def change(self, setting: str, value: str) -> None:
        """Set a value and remember the first one."""
        before = path_of(setting).read_text().strip()
        if before != value:
            self.memory.write_text(json.dumps({setting: before} | self.originals()))
            path_of(setting).write_text(value)

    def prepare(self, hosts: int) -> None:
        """Let packets through, and make room for more hosts' inotify instances: they count per user, not per host."""
        self.change("net.ipv4.ip_forward", "1")
        setting = "fs.inotify.max_user_instances"
        used = 0
        for descriptors in Path("/proc").glob("[0-9]*/fd"):
            try:
                used += sum(str(descriptor.readlink()) == "anon_inode:inotify" for descriptor in descriptors.iterdir())
            except OSError:  # the process ended while it was looked at
                continue
        if used + hosts * INOTIFY_INSTANCES_PER_HOST > int(path_of(setting).read_text()):
            self.change(setting, str(INOTIFY_INSTANCES_RAISED))

    def restore(self) -> None:
        """Put the first values back, unless another lab stands."""
        if self.labs.is_dir() and not any(entry.is_dir() for entry in self.labs.iterdir()):
            for setting, value in self.originals().items():
                path_of(setting).write_text(value)
            self.memory.unlink(missing_ok=True)
            self.labs.rmdir()
