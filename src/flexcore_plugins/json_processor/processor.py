"""json-processor: looks into JSON documents and changes them, by the standards that exist for it.

Places in a document are JSON Pointers (RFC 6901), a merge follows RFC 7396, a difference is a JSON Patch (RFC 6902).
"""

import json

from flexcore_plugin import OperationFailed

_MOST_INDENT = 16
_TYPE_NAMES = {
    dict: "object",
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


class JsonProcessor:
    """Each public method is one command of the manifest."""

    def __init__(self, configuration: dict[str, object]) -> None:
        del configuration  # it has no settings

    def describe(self, **document: object) -> dict[str, object]:
        """Say what the parameters hold."""
        counts = dict.fromkeys(sorted(set(_TYPE_NAMES.values())), 0)
        return {"keys": sorted(document), "depth": _depth(document, counts), "values": counts}

    def select(self, document: object, pointer: str) -> dict[str, object]:
        """Give the part of the document at a JSON Pointer."""
        if pointer and not pointer.startswith("/"):
            raise OperationFailed("pointer must be empty or begin with '/'", pointer=pointer)
        found = document
        for token in pointer.split("/")[1:]:
            found = _step(found, token.replace("~1", "/").replace("~0", "~"), pointer)
        return {"value": found}

    def merge(self, document: object, patch: object) -> dict[str, object]:
        """Apply a JSON Merge Patch."""
        return {"document": _merge(document, patch)}

    def diff(self, before: object, after: object) -> dict[str, object]:
        """Give the JSON Patch that turns `before` into `after`."""
        changes: list[dict[str, object]] = []
        _diff(before, after, "", changes)
        return {"equal": not changes, "patch": changes}

    def parse(self, text: str) -> dict[str, object]:
        """Read a document from JSON text."""
        try:
            return {"document": json.loads(text, parse_constant=_refuse_constant)}
        except json.JSONDecodeError as error:
            raise OperationFailed(
                f"the text is not JSON: {error.msg}", line=error.lineno, column=error.colno
            ) from error
        except (ValueError, RecursionError) as error:
            raise OperationFailed(f"the text is not JSON that can be read: {error}") from error

    def format(self, document: object, indent: int = 2, sort_keys: bool = False) -> dict[str, object]:
        """Write the document as JSON text."""
        if not 0 <= indent <= _MOST_INDENT:
            raise OperationFailed(f"indent must be 0 to {_MOST_INDENT}")
        return {"text": json.dumps(document, indent=indent or None, sort_keys=sort_keys, ensure_ascii=False)}


def _depth(value: object, counts: dict[str, int]) -> int:
    """Count `value` and all it holds by type, and give how deep it nests: 0 for a plain value."""
    counts[_TYPE_NAMES[type(value)]] += 1
    if isinstance(value, dict):
        return 1 + max((_depth(item, counts) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(item, counts) for item in value), default=0)
    return 0


def _step(value: object, token: str, pointer: str) -> object:
    if isinstance(value, dict) and token in value:
        return value[token]
    # RFC 6901 allows no sign and no leading zero in an index.
    is_index = token.isascii() and token.isdigit() and not (len(token) > 1 and token.startswith("0"))
    if isinstance(value, list) and is_index and int(token) < len(value):
        return value[int(token)]
    raise OperationFailed(f"the document has nothing at '{token}'", pointer=pointer)


def _merge(target: object, patch: object) -> object:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _diff(before: object, after: object, pointer: str, changes: list[dict[str, object]]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        changes.extend({"op": "remove", "path": _below(pointer, key)} for key in before if key not in after)
        for key, value in after.items():
            if key in before:
                _diff(before[key], value, _below(pointer, key), changes)
            else:
                changes.append({"op": "add", "path": _below(pointer, key), "value": value})
    elif isinstance(before, list) and isinstance(after, list):
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            _diff(old, new, f"{pointer}/{index}", changes)
        # From the end, so that removing one does not move the next.
        longer = range(len(before) - 1, len(after) - 1, -1)
        changes.extend({"op": "remove", "path": f"{pointer}/{index}"} for index in longer)
        changes.extend({"op": "add", "path": f"{pointer}/-", "value": value} for value in after[len(before) :])
    elif type(before) is not type(after) or before != after:
        changes.append({"op": "replace", "path": pointer, "value": after})


def _below(pointer: str, key: str) -> str:
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")
