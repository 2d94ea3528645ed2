"""What every task file and template must hold to."""

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.specs.conditions import conditionals, is_boolean

ROOT = Path(__file__).resolve().parents[3]
TASK_FILES = sorted(
    [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
)
TEMPLATES = sorted(file for file in ROOT.glob("roles/*/templates/**/*") if file.is_file())
# What makes a template differ from one run to the next, and so every second run a change.
UNSTABLE = re.compile(r"ansible_managed|date_time|strftime|\bnow\(|\|\s*random\b|ansible_facts\.\w*uptime")


class Vaulted(yaml.SafeLoader):
    """YAML with Ansible's tags, whose content does not matter here."""


Vaulted.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def load(file: Path) -> list[dict]:
    return yaml.load(file.read_text(), Vaulted) or []  # noqa: S506 - a SafeLoader with tags for plain text


@pytest.fixture(scope="module")
def booleans() -> frozenset[str]:
    """Variables that argument specs declare, or that constants in the inventories show, to be boolean."""
    names = set()
    for file in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
            names |= {name for name, spec in entry.get("options", {}).items() if spec.get("type") == "bool"}
    for file in ROOT.glob("inventories/*/group_vars/**/*.yml"):
        content = load(file)
        names |= {name for name, value in dict(content or {}).items() if isinstance(value, bool)}
    return frozenset(names)


@pytest.mark.parametrize("file", TASK_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_conditionals_are_boolean(file: Path, booleans: frozenset[str]) -> None:
    doubtful = [text for text in conditionals(load(file)) if not is_boolean(text, booleans)]
    assert not doubtful, f"compare, test or use `| bool` in: {doubtful}"


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_template_gives_the_same_text_every_time(file: Path) -> None:
    assert not UNSTABLE.findall(file.read_text())


@pytest.mark.parametrize(
    ("conditional", "boolean"),
    [
        ("result.stdout | length > 0", True),
        ("result is changed and not flexcore_debug", True),
        ("flexcore_debug", True),
        ("stat.stat.exists", True),
        ("value | default(false) | bool", True),
        ("flexcore_debug | default(false)", True),
        ("a if flexcore_debug else b", False),
        ("result.stdout", False),
        ("result.stdout | length", False),
        ("groups['redis']", False),
        ("flexcore_debug and names", False),
    ],
)
def test_the_lint_itself(conditional: str, boolean: bool) -> None:
    assert is_boolean(conditional, frozenset({"flexcore_debug"})) is boolean
