"""Whether what a module returns is what its documentation says: RETURN against a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What Ansible itself, and the notes that all modules share, say of every result.
EVERYWHERE = {"changed", "failed", "msg", "diff", "warnings", "invocation", "failure", "phase", "http_status"}
# Of a failure that Ansible found, or that is a library's absence.
EVERYWHERE |= {"exception", "respawned_under"}
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
# The words by which a description allows for null.
OPEN = ("null", "where ", "when known")


def disagreements(result: Mapping[str, Any], documented: Mapping[str, Any]) -> list[str]:
    """Return what is in ``result`` and not in RETURN, of another type there, or promised and missing."""
    found = list(_compared({name: result[name] for name in result if name not in EVERYWHERE}, documented, ""))
    if not result.get("failed") and "respawned_under" not in result:
        promised = {name for name, key in documented.items() if key["returned"].split(",")[0] in ("always", "success")}
        found += [f"{name} is missing" for name in sorted(promised - set(result))]
    return found


def _compared(values: Mapping[str, Any], documented: Mapping[str, Any], inside: str) -> Iterator[str]:
    for name, value in values.items():
        if name not in documented:
            yield f"{inside}{name} is not documented"
        else:
            yield from _as_documented(value, documented[name], inside + name)


def _as_documented(value: Any, key: Mapping[str, Any], where: str) -> Iterator[str]:
    if value is None:
        if not any(word in str(key["description"]).lower() for word in OPEN):
            yield f"{where} is null"
        return
    if not isinstance(value, TYPES[key["type"]]) or (isinstance(value, bool) and key["type"] != "bool"):
        yield f"{where} is a {type(value).__name__}, documented is {key['type']}"
        return
    for part in value if isinstance(value, list) else ():
        yield from _as_documented(part, {**key, "type": key["elements"]}, f"{where}[]")
    if isinstance(value, dict) and "contains" in key:
        yield from _compared(value, key["contains"], f"{where}.")
