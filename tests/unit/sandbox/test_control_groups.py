"""Control groups of version 2, on directories that look like the kernel's: what is written where, and understood.

That the kernel then does as it is told is shown where it has them: a host proves each controller before it serves.
"""

import os
from pathlib import Path

import pytest

from flexcore.infrastructure.sandbox.messages import Limits
from flexcore.infrastructure.sandbox.supervisor import control_groups
from flexcore.infrastructure.sandbox.supervisor.control_groups import Group

LIMITS = Limits(cpu_seconds=1, memory_mb=64, processes=2, file_size_mb=1)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The group of a unit that has all three controllers delegated, and one that nobody asked for."""
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    return tmp_path


def test_the_unit_hands_its_controllers_down_and_leaves_its_group(own: Path) -> None:
    hierarchy = control_groups._version_2(own, ["memory", "pids", "cpu"])
    assert hierarchy.base == own / f"flexcore-sandbox-{os.getpid()}"
    assert hierarchy.controllers == ("cpu", "memory", "pids")
    # Who has controllers in groups below has no process of its own.
    assert (own / "flexcore-sandbox-supervisor" / "cgroup.procs").read_text() == str(os.getpid())
    for group in (own, hierarchy.base):
        assert (group / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_without_delegation_it_says_so_and_makes_nothing(own: Path) -> None:
    (own / "cgroup.controllers").write_text("io\n")
    with pytest.raises(OSError, match="does not delegate these controllers"):
        control_groups._version_2(own, ["memory", "pids", "cpu"])
    assert [path.name for path in own.iterdir()] == ["cgroup.controllers"]


def test_groups_of_supervisors_that_are_gone_are_removed(own: Path) -> None:
    gone = own / "flexcore-sandbox-999999999"
    (gone / "7").mkdir(parents=True)
    control_groups._version_2(own, ["memory"])
    assert not gone.exists()


def test_limits_are_written_as_version_2_has_them(own: Path) -> None:
    hierarchy = control_groups._version_2(own, ["memory", "pids", "cpu"])
    (hierarchy.base / "memory.swap.max").touch()
    assert dict(control_groups._settings(hierarchy, LIMITS)) == {
        "memory.max": 64 << 20,
        "memory.oom.group": 1,
        "memory.swap.max": 0,
        "pids.max": 2 + 63,
        "cpu.max": "200000 100000",
    }


@pytest.mark.parametrize(("kills", "ran_out"), [(0, False), (1, True)])
def test_the_end_of_memory_is_read_from_its_events(own: Path, kills: int, ran_out: bool) -> None:
    hierarchy = control_groups._version_2(own, ["memory"])
    path = hierarchy.base / "1"
    path.mkdir()
    (path / "memory.events").write_text(f"low 0\nhigh 0\nmax 9\noom 3\noom_kill {kills}\noom_group_kill 0\n")
    (path / "memory.peak").write_text("1048576\n")
    group = Group([(path, hierarchy)])
    assert group.ran_out_of_memory() is ran_out
    assert group.peak_memory_bytes() == 1 << 20


def test_a_kernel_that_tells_no_peak_is_believed(own: Path) -> None:
    """memory.peak is there since Linux 5.19."""
    hierarchy = control_groups._version_2(own, ["memory"])
    (hierarchy.base / "1").mkdir()
    assert Group([(hierarchy.base / "1", hierarchy)]).peak_memory_bytes() == 0
