"""What a module says about itself, read as Ansible reads it: with the shared fragments put in."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

from ansible.module_utils.common.yaml import yaml_load

from plugins.doc_fragments.flexcore import ModuleDocFragment

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted((ROOT / "library").glob("*.py"))
SHARED_KEYS = ("type", "default", "choices", "elements", "required", "aliases")


def block(module: Path, name: str) -> Any:
    """One of the strings DOCUMENTATION, EXAMPLES and RETURN, without running the module."""
    for statement in ast.parse(module.read_text()).body:
        if isinstance(statement, ast.Assign) and [getattr(target, "id", "") for target in statement.targets] == [name]:
            return yaml_load(ast.literal_eval(statement.value))
    raise AssertionError(f"{module.name} has no {name}")


@functools.cache
def documented(module: Path) -> dict[str, Any]:
    """DOCUMENTATION; what the module says of an option goes before what a fragment says of it."""
    found: dict[str, Any] = block(module, "DOCUMENTATION")
    for fragment in found["extends_documentation_fragment"]:
        _, _, part = fragment.partition(".")
        shared = yaml_load(getattr(ModuleDocFragment, part.upper() or "DOCUMENTATION"))
        for section in ("options", "attributes"):
            found[section] = {**shared.get(section, {}), **found.get(section, {})}
    return found


def plain(options: dict[str, Any], nested: str) -> dict[str, Any]:
    """Reduce documentation or an argument spec to what both say about each option."""
    return {
        name: {key: option[key] for key in SHARED_KEYS if option.get(key) not in (None, False)}
        | ({"options": plain(option[nested], nested)} if nested in option else {})
        for name, option in options.items()
    }
