"""What a module says about itself in DOCUMENTATION, EXAMPLES and RETURN holds together."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.modules.documentation import MODULES, block, documented

pytestmark = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)


def undescribed(entries: dict[str, Any], inside: str, parent: str = "") -> Iterator[str]:
    for name, entry in entries.items():
        if not entry.get("description") or not entry.get("type"):
            yield f"{parent}{name}"
        yield from undescribed(entry.get(inside) or {}, inside, f"{parent}{name}.")


def test_documentation_names_the_module_and_describes_every_option(module: Path) -> None:
    documentation = documented(module)
    assert documentation["module"] == module.stem
    assert documentation["short_description"]
    assert documentation["author"]
    assert not list(undescribed(documentation.get("options", {}), "suboptions"))


def test_every_returned_value_is_described(module: Path) -> None:
    returned = block(module, "RETURN")
    assert returned
    assert not list(undescribed(returned, "contains"))
    assert not [name for name, entry in returned.items() if not entry.get("returned")]


def test_examples_are_tasks_that_use_documented_options(module: Path) -> None:
    options = documented(module).get("options", {})
    known = {*options, *(alias for option in options.values() for alias in option.get("aliases", []))}
    uses = [task[module.stem] or {} for task in block(module, "EXAMPLES") if module.stem in task]
    assert uses, "no example uses the module"
    for arguments in uses:
        assert arguments.keys() <= known
