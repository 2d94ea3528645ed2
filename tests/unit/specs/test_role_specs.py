"""A role's variables stand in three places: defaults, argument specs and README. They say the same."""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.yaml import yaml_load

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted({file.parents[1] for file in ROOT.glob("roles/*/*/*.yml")})
TYPES = {"str": str, "path": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "raw": object}

pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


@functools.cache
def entries(role: Path) -> dict[str, Any]:
    return yaml_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]


def options(role: Path) -> dict[str, dict[str, Any]]:
    return {name: spec for entry in entries(role).values() for name, spec in entry.get("options", {}).items()}


@functools.cache
def defaults(role: Path) -> dict[str, Any]:
    file = role / "defaults" / "main.yml"
    return (yaml_load(file.read_text()) or {}) if file.exists() else {}


def nested(specs: dict[str, dict[str, Any]], parent: str = "") -> dict[str, dict[str, Any]]:
    found = {}
    for name, spec in specs.items():
        found[f"{parent}{name}"] = spec
        found.update(nested(spec.get("options", {}), f"{parent}{name}."))
    return found


def test_every_variable_is_specified_with_its_default(role: Path) -> None:
    specified = {name: spec.get("default") for name, spec in options(role).items() if not spec.get("required")}
    assert specified == defaults(role)


def test_a_required_variable_has_no_default(role: Path) -> None:
    required = {name for name, spec in options(role).items() if spec.get("required")}
    assert not required & defaults(role).keys()
    assert not [name for name in required if "default" in options(role)[name]]


def test_a_default_has_the_specified_type(role: Path) -> None:
    for name, value in defaults(role).items():
        spec = options(role)[name]
        if isinstance(value, str) and "{{" in value:
            continue
        assert isinstance(value, TYPES[spec["type"]]), f"{name} is {value!r}, but its spec says {spec['type']}"
        assert spec["type"] == "bool" or not isinstance(value, bool), f"{name} is {value!r}, not {spec['type']}"
        if "choices" in spec:
            assert value in spec["choices"], f"{name} is {value!r}, which its spec does not allow"


def test_every_option_is_described_and_typed(role: Path) -> None:
    for name, spec in nested(options(role)).items():
        description = spec.get("description")
        text = " ".join(description) if isinstance(description, list) else description or ""
        assert len(text) > 5, f"{name} has no description"
        assert text.rstrip().endswith("."), f"the description of {name} is not a sentence"
        assert spec.get("type") in TYPES, f"{name} has no type"
        assert spec["type"] != "list" or "elements" in spec, f"{name} is a list of what?"


def test_every_entry_point_is_a_task_file_and_described(role: Path) -> None:
    assert "main" in entries(role)
    for name, entry in entries(role).items():
        assert (role / "tasks" / f"{name}.yml").exists(), f"{role.name} has no tasks/{name}.yml"
        assert entry.get("short_description"), f"entry point {name} of {role.name} has no short_description"


def test_variables_carry_the_roles_name(role: Path) -> None:
    for name in [*options(role), *defaults(role)]:
        assert name.startswith(f"{role.name}_"), f"{name} of role {role.name}"
    private = [name for file in (role / "vars").rglob("*.yml") for name in yaml_load(file.read_text()) or {}]
    for name in private:
        assert name.startswith(f"_{role.name}_"), f"{name} of role {role.name} is in vars, but is not private by name"


def test_every_variable_is_used(role: Path) -> None:
    files = [
        *(file for place in ("tasks", "handlers", "templates", "vars") for file in (role / place).rglob("*")),
        role / "defaults" / "main.yml",
    ]
    text = "\n".join(file.read_text() for file in files if file.is_file())
    # A default stands once as a key; a use is one more occurrence.
    unused = [
        name
        for name in options(role)
        if len(re.findall(rf"\b{re.escape(name)}\b", text)) < (2 if name in defaults(role) else 1)
    ]
    assert not unused, f"nothing in role {role.name} uses {', '.join(unused)}"
