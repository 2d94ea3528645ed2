"""What may not stand anywhere in the tree."""

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[3]

# Names that say nothing about what is inside.
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "stuff", "manager2"}

# Where packages come from is the machine's configuration. Spelt in pieces, for this file is in the tree as well.
SOURCES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("ftp", "debian", "org"),
        ("galaxy", "ansible", "com"),
    )
]
PERSONAL_PATHS = re.compile(r"/home/(?!(?:plugin|user|new)\b)[a-z]{2}|/Users/[A-Za-z]|/root/[a-z.]|(?<![\w.])/wor[k]/")


@pytest.fixture(scope="module")
def files() -> list[PurePosixPath]:
    """Files of the project: what git tracks, and what it would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [PurePosixPath(name) for name in listed if (ROOT / name).is_file()]


def test_names_say_what_is_inside(files: list[PurePosixPath]) -> None:
    empty = [str(file) for file in files if {PurePosixPath(part).stem for part in file.parts} & EMPTY_NAMES]
    assert not empty


def test_no_package_source_is_named(files: list[PurePosixPath]) -> None:
    found = {str(file): name for file in files for name in SOURCES if name in text(file)}
    assert not found


def test_no_path_of_somebodys_machine(files: list[PurePosixPath]) -> None:
    found = {str(file): match.group() for file in files if (match := PERSONAL_PATHS.search(text(file)))}
    assert not found


def text(file: PurePosixPath) -> str:
    return (ROOT / file).read_text(errors="replace")
