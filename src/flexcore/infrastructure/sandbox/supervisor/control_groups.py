"""Control groups: a group for each execution, where the host lets us have them (version 1 and 2)."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flexcore.infrastructure.sandbox.messages import Limits

CONTROLLERS: Final = ("memory", "pids", "cpu")
_PREFIX: Final = "flexcore-sandbox-"
_UNIFIED: Final = 2
_CPU_PERIOD_US: Final = 100_000
# What an execution may have beside its processes; see the launcher.
_THREADS: Final = 63


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    """A directory in which we make groups, and the controllers that work in it."""

    base: Path
    controllers: tuple[str, ...]
    version: int


@dataclass(slots=True)
class Group:
    """The group of one execution: one directory in each hierarchy."""

    directories: list[tuple[Path, _Hierarchy]] = field(default_factory=list)

    def open(self) -> list[int]:
        """Open the files by which a process joins; the caller closes them."""
        return [os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for path, _ in self.directories]

    def ran_out_of_memory(self) -> bool:
        """Say whether the kernel killed something in it for memory."""
        for path, hierarchy in self._with("memory"):
            name = "memory.events" if hierarchy.version == _UNIFIED else "memory.oom_control"
            for line in (path / name).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill" and int(value) > 0:
                    return True
        return False

    def peak_memory_bytes(self) -> int:
        """Give the most memory that was in use at a time; 0 where the kernel does not tell."""
        for path, hierarchy in self._with("memory"):
            name = "memory.peak" if hierarchy.version == _UNIFIED else "memory.max_usage_in_bytes"
            with suppress(FileNotFoundError):
                return int((path / name).read_text())
        return 0

    def remove(self) -> bool:
        """Remove it; False if something is left in it that has yet to go."""
        while self.directories:
            path, _ = self.directories[-1]
            try:
                path.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return False
            self.directories.pop()
        return True

    def _with(self, controller: str) -> Iterator[tuple[Path, _Hierarchy]]:
        return (item for item in self.directories if controller in item[1].controllers)


class ControlGroups:
    """Makes the groups. `missing` says for each controller that can't be had why not."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self._groups = 0
        self._hierarchies: list[_Hierarchy] = []
        mounts = _mounts()
        for controller in CONTROLLERS:
            if controller in mounts:
                try:
                    self._hierarchies.append(_version_1(mounts[controller], controller))
                except OSError as error:
                    self.missing[controller] = _why(error)
        unified = [controller for controller in CONTROLLERS if controller not in mounts]
        if unified and "" in mounts:
            try:
                self._hierarchies.append(_version_2(mounts[""], unified))
            except OSError as error:
                self.missing.update(dict.fromkeys(unified, _why(error)))
        found = {controller for hierarchy in self._hierarchies for controller in hierarchy.controllers}
        for controller in unified:
            if controller not in found:
                self.missing.setdefault(controller, "the host does not delegate this controller to us")

    @property
    def limits_memory(self) -> bool:
        """Whether memory is limited by groups."""
        return "memory" not in self.missing

    def create(self, limits: Limits) -> Group:
        """Make a group with these limits; raises OSError."""
        group = Group()
        self._groups += 1
        try:
            for hierarchy in self._hierarchies:
                path = hierarchy.base / str(self._groups)
                path.mkdir()
                group.directories.append((path, hierarchy))
                for name, value in _settings(hierarchy, limits):
                    (path / name).write_text(str(value))
        except OSError:
            group.remove()
            raise
        return group

    def is_in_use(self, controller: str) -> bool:
        """Say whether a process is in a group of this controller now."""
        return any(
            file.read_text()
            for hierarchy in self._hierarchies
            if controller in hierarchy.controllers
            for file in hierarchy.base.glob("[0-9]*/cgroup.procs")
        )

    def close(self) -> bool:
        """Remove what we made; False if some of it can't be removed yet."""
        removed = [_remove_tree(hierarchy.base) for hierarchy in self._hierarchies]
        return all(removed)


def _settings(hierarchy: _Hierarchy, limits: Limits) -> Iterator[tuple[str, str | int]]:
    memory, period, tasks = limits.memory_mb << 20, _CPU_PERIOD_US, limits.processes + _THREADS
    # No more processors at a time than processes, however many threads these have.
    quota = limits.processes * period
    if hierarchy.version == _UNIFIED:
        settings: dict[str, list[tuple[str, str | int]]] = {
            "memory": [("memory.max", memory), ("memory.oom.group", 1)],
            "pids": [("pids.max", tasks)],
            "cpu": [("cpu.max", f"{quota} {period}")],
        }
        if (hierarchy.base / "memory.swap.max").exists():
            settings["memory"].append(("memory.swap.max", 0))
    else:
        settings = {
            "memory": [("memory.limit_in_bytes", memory)],
            "pids": [("pids.max", tasks)],
            "cpu": [("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota)],
        }
        if (hierarchy.base / "memory.memsw.limit_in_bytes").exists():
            settings["memory"].append(("memory.memsw.limit_in_bytes", memory))
    for controller in hierarchy.controllers:
        yield from settings[controller]


def _mounts() -> dict[str, Path]:
    """Find the directory of our own group by controller; version 2 goes by the empty name."""
    ours: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        ours.update(dict.fromkeys(names.split(","), path))
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        root, mount = fields.split()[3:5]
        filesystem, _, options = kind.split(" ", 2)
        controllers = {"cgroup": options.split()[-1].split(","), "cgroup2": [""]}.get(filesystem, [])
        for name in controllers:
            if name in ours and (name in CONTROLLERS or not name):
                own = ours[name] if root == "/" else ours[name].removeprefix(root)
                found.setdefault(name, Path(mount, own.lstrip("/")))
    return found


def _version_1(own: Path, controller: str) -> _Hierarchy:
    return _Hierarchy(_base(own), (controller,), 1)


def _version_2(own: Path, wanted: list[str]) -> _Hierarchy:
    """Get groups with controllers below our own group, which no process may be in then: we go into one of them too."""
    delegated = set((own / "cgroup.controllers").read_text().split()) & set(wanted)
    if not delegated:
        raise OSError(errno.ENOTSUP, "the host does not delegate these controllers to us", str(own))
    base, ours = _base(own), own / f"{_PREFIX}supervisor"
    ours.mkdir(exist_ok=True)
    (ours / "cgroup.procs").write_text(str(os.getpid()))
    try:
        for group in (own, base):
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(delegated)))
    except OSError:
        (own / "cgroup.procs").write_text(str(os.getpid()))
        for group in (ours, base):
            group.rmdir()
        raise
    return _Hierarchy(base, tuple(sorted(delegated)), _UNIFIED)


def _base(own: Path) -> Path:
    """Make the directory for our groups, and remove those of supervisors that are gone."""
    for path in own.glob(f"{_PREFIX}[0-9]*"):
        if not Path("/proc", path.name.removeprefix(_PREFIX)).exists():
            _remove_tree(path)
    base = own / f"{_PREFIX}{os.getpid()}"
    base.mkdir(exist_ok=True)
    return base


def _remove_tree(base: Path) -> bool:
    try:
        for path in [*base.glob("[0-9]*"), base]:
            path.rmdir()
    except OSError:
        return not base.exists()
    return True


def _why(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}"
