"""The module reference from what ansible-doc reads in the modules."""

from collections.abc import Iterator
from typing import Any

from docs.generate.ansible_doc import example, option_table, return_table
from docs.generate.markdown import NOTICE, page, prose, table


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
    yield option_table(doc.get("options", {}))
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
    yield example(item["examples"])
    yield "### Returns"
    yield return_table(item["return"])
