"""What every task file and template must hold to."""

import re
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.yaml import SafeLoader, yaml_load

from tests.unit.specs.conditions import cannot_be_boolean, conditionals

ROOT = Path(__file__).resolve().parents[3]
TASK_FILES = sorted(
    [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("roles/*/handlers/*.yml"), *ROOT.glob("playbooks/*.yml")]
)
TEMPLATES = sorted(file for file in ROOT.glob("roles/*/templates/**/*") if file.is_file())
# What makes a template differ from one run to the next, and so every second run a change.
UNSTABLE = re.compile(r"ansible_managed|date_time|strftime|\bnow\(|\|\s*random\b|ansible_facts\.\w*uptime")


class Vaulted(SafeLoader):
    """YAML with Ansible's tags, whose content does not matter here."""


Vaulted.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def load(file: Path) -> list[dict]:
    return yaml.load(file.read_text(), Vaulted) or []  # noqa: S506 - a SafeLoader with tags for plain text


@pytest.fixture(scope="module")
def values() -> frozenset[str]:
    """Variables that argument specs declare to hold something else than a boolean."""
    entries = [
        entry
        for file in ROOT.glob("roles/*/meta/argument_specs.yml")
        for entry in yaml_load(file.read_text())["argument_specs"].values()
    ]
    options = [option for entry in entries for option in entry.get("options", {}).items()]
    return frozenset(name for name, spec in options if spec.get("type") not in ("bool", "raw"))


@pytest.mark.parametrize("file", TASK_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_conditionals_are_boolean(file: Path, values: frozenset[str]) -> None:
    wrong = [text for text in conditionals(load(file)) if cannot_be_boolean(text, values)]
    assert not wrong, f"compare, test or use `| bool` in: {wrong}"


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_template_gives_the_same_text_every_time(file: Path) -> None:
    assert not UNSTABLE.findall(file.read_text())


@pytest.mark.parametrize(
    ("conditional", "wrong"),
    [
        ("result.stdout | length > 0", False),
        ("result is changed and not flexcore_debug", False),
        ("stat.stat.exists", False),
        ("value | default(false)", False),
        ("names is defined and 'a' in names", False),
        ("result.stdout", True),
        ("result.stdout | length", True),
        ("result is changed and result.rc", True),
        ("value | default('')", True),
        ("groups['redis']", True),
        ("flexcore_debug and names", True),
        ("names if flexcore_debug else false", True),
    ],
)
def test_the_lint_itself(conditional: str, wrong: bool) -> None:
    assert cannot_be_boolean(conditional, frozenset({"names"})) is wrong
