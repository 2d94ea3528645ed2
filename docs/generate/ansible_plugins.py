"""The reference of the plugins for the controller: what ansible-doc reads in them, and the filters' own words."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from docs.generate.ansible_doc import example, option_table, return_table
from docs.generate.markdown import NOTICE, page, prose, table


def reference(documents: Mapping[str, Mapping[str, Any]], filters: Mapping[str, Callable[..., Any]]) -> str:
    """Write the page of the plugins in `documents`, by kind and name, and of the filters."""
    blocks = [NOTICE.format(source="the plugins in plugins/"), "# Ansible plugins"]
    for kind, found in documents.items():
        for name, item in found.items():
            blocks.extend(_plugin(f"{name} ({kind})", item))
    blocks += ["## Filters", table(("Filter", "What it does"), _filters(filters))]
    return page(*blocks)


def _plugin(title: str, item: Mapping[str, Any]) -> Iterator[str]:
    doc = item["doc"]
    yield f"## {title}"
    yield prose(doc["description"])
    if doc.get("options"):
        yield "### Options"
        yield option_table(doc["options"])
    if item.get("examples"):
        yield "### Examples"
        yield example(item["examples"])
    if item.get("return"):
        yield "### Returns"
        yield return_table(item["return"])


def _filters(filters: Mapping[str, Callable[..., Any]]) -> Iterator[tuple[str, str]]:
    for name, function in filters.items():
        # The first is what the filter is applied to.
        _, *arguments = inspect.signature(function).parameters
        meaning = (inspect.getdoc(function) or "").replace("``", "`")
        yield f"`{name}({', '.join(arguments)})`" if arguments else f"`{name}`", meaning
