"""What labctl does to the kernel's files, on stand-ins for them: a machine's own are shared by all its labs."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

LABCTL = Path(__file__).resolve().parents[3] / "roles/lab/files/labctl"


@pytest.fixture
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """One module of labctl, which is a program's directory and not a package."""
    monkeypatch.syspath_prepend(LABCTL)
    for name in ("commands", request.param):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(request.param)


def write(directory: Path, **contents: str) -> None:
    """Make a directory with files in it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name.replace("__", ".")).write_text(content)


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> Path:
    """The directory of labs, beside a kernel with one setting."""
    write(tmp_path / "sys", setting="first\n")
    monkeypatch.setattr(module, "path_of", lambda setting: tmp_path / "sys" / setting)
    (tmp_path / "labs/one").mkdir(parents=True)
    return tmp_path / "labs"


@pytest.mark.parametrize("module", ["kernel"], indirect=True)
def test_last_lab_puts_the_first_value_back(module: ModuleType, labs: Path) -> None:
    settings = module.KernelSettings(labs)
    settings.change("setting", "second")
    settings.change("setting", "third")

    settings.restore()
    assert module.path_of("setting").read_text() == "third"

    (labs / "one").rmdir()
    settings.restore()
    assert module.path_of("setting").read_text() == "first"
    assert not labs.exists()


@pytest.mark.parametrize("module", ["kernel"], indirect=True)
def test_setting_that_is_right_already_is_left_alone(module: ModuleType, labs: Path) -> None:
    settings = module.KernelSettings(labs)

    settings.change("setting", "first")

    assert settings.originals() == {}


@pytest.mark.parametrize("module", ["cgroups"], indirect=True)
def test_v2_alone_passes_controllers_down_to_the_host(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for group in (".", "labs", "labs/one"):
        write(tmp_path / group, cgroup__controllers="cpuset cpu io memory pids\n")

    module.HostGroup(Path("labs/one")).make()

    for group in (".", "labs", "labs/one"):
        passed = (tmp_path / group / "cgroup.subtree_control").read_text().split()
        assert set(passed) == {"+cpu", "+memory", "+pids"}
    assert {entry.name for entry in (tmp_path / "labs/one").iterdir() if entry.is_dir()} == {"keeper", "boot"}


@pytest.mark.parametrize("module", ["cgroups"], indirect=True)
def test_v1_controllers_beside_v2_each_get_the_host_group(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    write(tmp_path / "unified", cgroup__controllers="")
    for controller in ("memory", "pids"):
        write(tmp_path / controller, cgroup__procs="")

    module.HostGroup(Path("labs/one")).make()

    for hierarchy in ("unified", "memory", "pids"):
        assert (tmp_path / hierarchy / "labs/one/boot").is_dir()
    assert not (tmp_path / "cpu").exists()


@pytest.mark.parametrize("module", ["cgroups"], indirect=True)
def test_machine_without_v2_is_told_so(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)

    with pytest.raises(module.LabError, match="cgroup v2"):
        module.v2_root()
