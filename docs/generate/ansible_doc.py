"""What ansible-doc reads in modules and plugins, and the parts that their pages have in common."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generate.markdown import prose, table, value

_FRAGMENTS = Path(__file__).resolve().parents[2] / "plugins" / "doc_fragments"


def documentation(directory: Path, kind: str = "module") -> dict[str, Any]:
    """Ask ansible-doc what it knows of everything in `directory`, by name. Raises when it cannot read one."""
    names = sorted(file.stem for file in directory.glob("*.py"))
    if not names:
        return {}
    # The ansible-doc of this interpreter's environment, whether or not that is activated.
    program = Path(sys.executable).with_name("ansible-doc")
    answer = subprocess.run(  # noqa: S603 - a fixed program and names of files here
        [program, "--type", kind, "--module-path", directory, "--json", *names],
        env={**os.environ, "ANSIBLE_DOC_FRAGMENT_PLUGINS": str(_FRAGMENTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise RuntimeError(f"ansible-doc cannot read every {kind} in {directory}: {answer.stderr.strip()}")
    documents: dict[str, Any] = json.loads(answer.stdout)
    return {name: documents[name] for name in names}


def option_table(options: dict[str, Any]) -> str:
    """Write the options with their suboptions."""
    return table(("Parameter", "Type", "Default", "Meaning"), _options(options))


def return_table(keys: dict[str, Any]) -> str:
    """Write what comes back with what is in it."""
    return table(("Key", "Type", "Returned", "Meaning"), _returns(keys))


def example(text: str) -> str:
    """Write the examples as they stand."""
    return f"```yaml\n{text.strip()}\n```"


def _options(options: dict[str, Any], parent: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, option in sorted(options.items()):
        kind = option.get("type", "str")
        if "elements" in option:
            kind = f"{kind} of {option['elements']}"
        meaning = prose(option["description"])
        if "choices" in option:
            meaning += "\n\nOne of " + ", ".join(value(choice) for choice in option["choices"]) + "."
        default = "**required**" if option.get("required") else value(option.get("default"))
        yield f"`{parent}{name}`", kind, default, meaning
        yield from _options(option.get("suboptions") or {}, f"{parent}{name}.")


def _returns(keys: dict[str, Any], parent: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, key in keys.items():
        kind = f"{key['type']} of {key['elements']}" if "elements" in key else key["type"]
        yield f"`{parent}{name}`", kind, prose(key.get("returned", "")), prose(key["description"])
        yield from _returns(key.get("contains") or {}, f"{parent}{name}.")
