"""The written pages name what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/README.md")]
# A path of the project in code: a known top-level directory, then names without anything to fill in.
PROJECT_PATH = re.compile(r"`((?:docs|inventories|library|module_utils|playbooks|plugins|roles|src|tests)/[\w./-]*\w)`")

CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)

pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchor(heading: str) -> str:
    """The anchor that a heading gets: lower case, spaces to dashes, punctuation dropped."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)}


def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        if fragment and file.suffix == ".md":
            assert fragment in anchors(file), f"{target}: no such heading"


def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = " ".join(CODE.findall(page.read_text()))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[`\s])", code))
    assert named <= targets


def test_named_paths_exist(page: Path) -> None:
    missing = [path for path in PROJECT_PATH.findall(page.read_text()) if not (ROOT / path).exists()]
    assert not missing
