"""One execution as the launcher sees it, and what its process gets before it runs."""

import os
import resource
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flexcore.infrastructure.sandbox.launcher import linux, root
from flexcore.infrastructure.sandbox.launcher.fork_server import CHANNEL
from flexcore.infrastructure.sandbox.launcher.notifications import Listener, Notification

# Threads that an execution may have beside its processes.
_THREADS: Final = 63
_MEGABYTE: Final = 1 << 20
_RESERVED: Final = 256 * _MEGABYTE


@dataclass(slots=True)
class Execution:
    """One execution, from its start to its end."""

    id: str
    limits: dict[str, int]
    descriptors: list[int]
    refused: Counter[str] = field(default_factory=Counter)
    killed_because: str | None = None

    def close(self) -> None:
        """Give up our copies of its descriptors."""
        while self.descriptors:
            os.close(self.descriptors.pop())


class Outfit:
    """What every execution of a plugin gets: limits first, then its descriptors, and then it is let go."""

    def __init__(self, *, memory_limited: bool, executable: bool) -> None:
        self._memory_limited = memory_limited
        self._executable = executable
        self._namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def put_on(self, execution: Execution, pid: int, call: Notification, listener: Listener) -> None:
        """Bind `execution` to the process that asks for one by `call`; raises OSError."""
        channel, log, *groups = execution.descriptors
        for group in groups:
            os.write(group, str(pid).encode())
        self._mount_work(pid, execution.limits)
        self._limit(pid, execution.limits)
        for descriptor, number in self._places(channel, log):
            listener.give(call, descriptor, number)
        listener.succeed(call)

    def _places(self, channel: int, log: int) -> tuple[tuple[int, int], ...]:
        if self._executable:
            return (channel, 0), (channel, 1), (log, 2)
        return (self._null, 0), (log, 1), (log, 2), (channel, CHANNEL)

    def _mount_work(self, pid: int, limits: dict[str, int]) -> None:
        """Give the execution a work directory of its own: in its mount namespace, where nobody else is."""
        size = limits["work_mb"]
        process = os.pidfd_open(pid)
        try:
            linux.setns(process, linux.CLONE_NEWNS)
        finally:
            os.close(process)
        try:
            flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
            linux.mount("tmpfs", root.WORK, "tmpfs", flags, f"mode=0700,size={size}m,nr_inodes={size * 64 + 64}")
        finally:
            linux.setns(self._namespace, linux.CLONE_NEWNS)

    def _limit(self, pid: int, limits: dict[str, int]) -> None:
        values = {
            resource.RLIMIT_CPU: limits["cpu_seconds"],
            resource.RLIMIT_FSIZE: limits["file_size_mb"] * _MEGABYTE,
            resource.RLIMIT_NOFILE: limits["open_files"],
            resource.RLIMIT_NPROC: limits["processes"] + _THREADS,
        }
        if not self._memory_limited:
            memory = limits["memory_mb"] * _MEGABYTE
            values[resource.RLIMIT_DATA] = memory
            # Looser, for libraries reserve more than they use; but shared memory counts here only.
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            values[resource.RLIMIT_AS] = pages * resource.getpagesize() + 2 * memory + _RESERVED
        for limit, value in values.items():
            hard = resource.prlimit(pid, limit)[1]
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, limit, (bound, bound))
