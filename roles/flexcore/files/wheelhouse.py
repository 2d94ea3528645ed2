"""Builds the archive that a host installs one release from: the project's wheel and every wheel it depends on.

The archive holds `requirements.txt`, which names each wheel with its hash, and the wheels. It is made for one release,
one version of Python and one architecture, on a machine that may have others; the hosts need no package index.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = Path("requirements/runtime.txt")
SOURCES = ("src", "module_utils/flexcore_client", "pyproject.toml", "setup.py", str(LOCK))
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.egg-info")
# Every file in a wheel carries this time, so that the same sources give the same wheel: 1980, the oldest a zip knows.
EPOCH = "315532800"


def main() -> None:
    """Build the archive unless it is there."""
    arguments = _arguments()
    with _alone(arguments.archive.parent):
        if arguments.archive.exists():
            return
        with tempfile.TemporaryDirectory(dir=arguments.archive.parent) as scratch:
            _build(arguments, Path(scratch))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--project", type=Path, required=True, help="the checkout")
    parser.add_argument("--release", required=True, help="the version that the wheel must turn out to have")
    parser.add_argument("--python", required=True, help="the hosts' Python, such as 3.11")
    parser.add_argument("--glibc", required=True, help="the hosts' C library, such as 2.36")
    parser.add_argument("--architecture", required=True, help="as in `uname -m`")
    parser.add_argument("archive", type=Path)
    return parser.parse_args()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Wait for another build in this directory, if there is one."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(arguments: argparse.Namespace, scratch: Path) -> None:
    lock = arguments.project / LOCK
    dependencies = _dependencies(lock, arguments, scratch)
    wheel = _wheel(arguments.project, arguments.release, scratch)
    requirements = scratch / "requirements.txt"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirements.write_text(f"{lock.read_text()}flexcore=={arguments.release} --hash=sha256:{digest}\n")
    archive = scratch / "archive.tar"
    with tarfile.open(archive, "w") as tar:
        for file in (requirements, wheel, *sorted(dependencies.glob("*.whl"))):
            tar.add(file, file.name)
    archive.replace(arguments.archive)


def _dependencies(lock: Path, arguments: argparse.Namespace, scratch: Path) -> Path:
    """Download what the lock names, once for each content of the lock, and return the directory of it."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:8]
    target = f"cp{arguments.python.replace('.', '')}-{arguments.architecture}"
    directory = arguments.archive.parent / f"dependencies-{digest}-{target}"
    if directory.exists():
        return directory
    # pip judges the conditions in the lock by the Python that runs it. Without them it downloads what any Python may
    # need, and the host's own pip, which sees them, takes what is right there.
    unconditional = scratch / "unconditional.txt"
    unconditional.write_text(re.sub(r" ; .*?(?= \\$)", "", lock.read_text(), flags=re.MULTILINE))
    downloaded = scratch / "dependencies"
    _pip(
        "download",
        *("--requirement", unconditional, "--require-hashes", "--no-deps", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", arguments.python),
        *(option for tag in _platforms(arguments) for option in ("--platform", tag)),
        *("--dest", downloaded),
    )
    downloaded.replace(directory)
    return directory


def _platforms(arguments: argparse.Namespace) -> list[str]:
    """Name the platforms whose wheels run on the hosts: those for their C library, and for older ones."""
    major, newest = (int(part) for part in arguments.glibc.split("."))
    architecture = arguments.architecture
    return [
        *(f"manylinux_{major}_{minor}_{architecture}" for minor in range(newest, 4, -1)),
        *(f"manylinux{legacy}_{architecture}" for legacy in ("2014", "2010", "1")),
    ]


def _wheel(project: Path, release: str, scratch: Path) -> Path:
    """Build the project's wheel from a copy, which leaves nothing behind in the checkout and takes nothing stale."""
    sources = scratch / "sources"
    for name in SOURCES:
        source, copy = project / name, sources / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=NOT_SOURCES)
        else:
            shutil.copy2(source, copy)
    # pyproject.toml asks for it, but the version does not cover it, and the same version must be the same wheel.
    (sources / "README.md").touch()
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", scratch, sources)
    wheel = scratch / f"flexcore-{release}-py3-none-any.whl"
    if not wheel.exists():
        _fail(f"the sources are not those of release {release} any more; they changed meanwhile. Run this again.")
    return wheel


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--disable-pip-version-check"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - own words
    if done.returncode != 0:
        _fail(f"pip {arguments[0]} failed:\n{done.stderr.strip()}")


def _fail(message: str) -> None:
    sys.exit(f"wheelhouse: {message}")


if __name__ == "__main__":
    main()
