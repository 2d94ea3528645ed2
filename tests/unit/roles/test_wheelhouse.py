"""The archive that a host installs FlexCore from: right for the host, complete, the same for the same sources."""

import hashlib
import importlib.util
import itertools
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "roles" / "flexcore" / "files" / "wheelhouse.py"
LOCK = """\
anyio==4.0 \\
    --hash=sha256:aa
async-timeout==5.0 ; python_full_version < '3.11.3' \\
    --hash=sha256:bb
"""


class Pip:
    """Stands for pip: makes the files that it would, and remembers what it was asked for."""

    def __init__(self, wheel: str) -> None:
        self.wheel = wheel
        self.calls: list[list[str]] = []
        self.requirements = ""
        self.sources: set[str] = set()

    def __call__(self, *arguments: object) -> None:
        words = [str(argument) for argument in arguments]
        self.calls.append(words)
        if words[0] == "download":
            self.requirements = Path(words[words.index("--requirement") + 1]).read_text()
            target = Path(words[words.index("--dest") + 1])
            target.mkdir()
            (target / "anyio-4.0-py3-none-any.whl").write_bytes(b"anyio")
        else:
            sources = Path(words[-1])
            self.sources = {str(file.relative_to(sources)) for file in sources.rglob("*") if file.is_file()}
            (Path(words[words.index("--wheel-dir") + 1]) / self.wheel).write_bytes(b"flexcore")

    def count(self, verb: str) -> int:
        return sum(call[0] == verb for call in self.calls)


@pytest.fixture
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheelhouse", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Pip:
    pip = Pip("flexcore-0.1.0+abcd-py3-none-any.whl")
    monkeypatch.setattr(program, "_pip", pip)
    return pip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name, text in {
        "src/flexcore/__init__.py": "",
        "src/flexcore/__pycache__/old.pyc": "",
        "src/flexcore.egg-info/PKG-INFO": "",
        "module_utils/flexcore_client/__init__.py": "",
        "pyproject.toml": "",
        "setup.py": "",
        "requirements/runtime.txt": LOCK,
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def build(program: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch, name: str = "flexcore.tar") -> Path:
    archive = project.parent / "wheelhouse" / name
    words = f"--project {project} --release 0.1.0+abcd --python 3.11 --glibc 2.36 --architecture x86_64 {archive}"
    monkeypatch.setattr(sys, "argv", ["wheelhouse", *words.split()])
    program.main()
    return archive


def test_the_archive_holds_every_wheel_and_names_it_with_its_hash(
    program: ModuleType, pip: Pip, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(build(program, project, monkeypatch)) as tar:
        names = tar.getnames()
        file = tar.extractfile("requirements.txt")
        assert file is not None
        requirements = file.read().decode()
    assert names == ["requirements.txt", pip.wheel, "anyio-4.0-py3-none-any.whl"]
    # The host's own pip judges the conditions.
    assert requirements.startswith(LOCK)
    digest = hashlib.sha256(b"flexcore").hexdigest()
    assert requirements.endswith(f"flexcore==0.1.0+abcd --hash=sha256:{digest}\n")


def test_wheels_are_downloaded_for_the_hosts_and_for_every_python(
    program: ModuleType, pip: Pip, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(program, project, monkeypatch)
    assert pip.requirements == LOCK.replace(" ; python_full_version < '3.11.3'", "")
    download = pip.calls[0]
    assert "--require-hashes" in download
    assert download[download.index("--python-version") + 1] == "3.11"
    platforms = [value for option, value in itertools.pairwise(download) if option == "--platform"]
    assert platforms[0] == "manylinux_2_36_x86_64"
    assert "manylinux2014_x86_64" in platforms
    assert "manylinux_2_37_x86_64" not in platforms


def test_the_wheel_is_built_from_a_copy_of_the_sources_alone(
    program: ModuleType, pip: Pip, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(project.rglob("*"))
    build(program, project, monkeypatch)
    assert sorted(project.rglob("*")) == before
    assert not [name for name in pip.sources if "pycache" in name or "egg-info" in name]
    assert "src/flexcore/__init__.py" in pip.sources


def test_an_archive_that_is_there_is_not_built_again(
    program: ModuleType, pip: Pip, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(program, project, monkeypatch)
    build(program, project, monkeypatch)
    assert len(pip.calls) == 2


def test_dependencies_are_downloaded_once_for_a_lock(
    program: ModuleType, pip: Pip, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(program, project, monkeypatch)
    build(program, project, monkeypatch, "next.tar")
    assert (pip.count("download"), pip.count("wheel")) == (1, 2)
    (project / "requirements/runtime.txt").write_text(LOCK + "# changed\n")
    build(program, project, monkeypatch, "after.tar")
    assert pip.count("download") == 2


def test_sources_that_changed_meanwhile_make_no_archive(
    program: ModuleType, pip: Pip, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip.wheel = "flexcore-0.1.0+other-py3-none-any.whl"
    with pytest.raises(SystemExit, match=r"0\.1\.0\+abcd.*Run this again"):
        build(program, project, monkeypatch)
    assert not (project.parent / "wheelhouse" / "flexcore.tar").exists()
