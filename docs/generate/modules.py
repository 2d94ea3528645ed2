"""The module reference from what ansible-doc reads in the modules."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generate.markdown import NOTICE, page, prose, table, value


def documentation(library: Path) -> dict[str, Any]:
    """Ask ansible-doc what it knows of every module in `library`, by module name. Raises when it cannot read one."""
    names = sorted(module.stem for module in library.glob("*.py"))
    if not names:
        return {}
    # The ansible-doc of this interpreter's environment, whether or not that is activated.
    program = Path(sys.executable).with_name("ansible-doc")
    fragments = library.parent / "plugins" / "doc_fragments"
    answer = subprocess.run(  # noqa: S603 - a fixed program and names of files here
        [program, "--module-path", library, "--json", *names],
        env={**os.environ, "ANSIBLE_DOC_FRAGMENT_PLUGINS": str(fragments)},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise RuntimeError(f"ansible-doc cannot read the modules in {library}: {answer.stderr.strip()}")
    documents: dict[str, Any] = json.loads(answer.stdout)
    return {name: documents[name] for name in names}


def reference(documents: dict[str, Any]) -> str:
    """Write the page of all modules."""
    contents = table(
        ("Module", "What it does"),
        ((f"[{name}](#{name})", prose(item["doc"]["short_description"])) for name, item in documents.items()),
    )
    blocks = [NOTICE.format(source="the modules in library/"), "# Modules", contents]
    for name, item in documents.items():
        blocks.extend(_module(name, item))
    return page(*blocks)


def _module(name: str, item: dict[str, Any]) -> Iterator[str]:
    doc = item["doc"]
    yield f"## {name}"
    yield prose(doc["description"])
    yield "### Parameters"
    yield table(("Parameter", "Type", "Default", "Meaning"), _options(doc.get("options", {})))
    if doc.get("attributes"):
        yield "### Attributes"
        yield table(
            ("Attribute", "Support", "Details"),
            (
                (attribute, about["support"], prose(about.get("details", "")))
                for attribute, about in doc["attributes"].items()
            ),
        )
    if doc.get("notes"):
        yield "### Notes"
        yield "\n".join(f"- {prose(note)}" for note in doc["notes"])
    yield "### Examples"
    yield f"```yaml\n{item['examples'].strip()}\n```"
    yield "### Returns"
    yield table(("Key", "Type", "Returned", "Meaning"), _returns(item["return"]))


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
