"""A JSON object that stays text until somebody looks into it."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class JsonObject(Mapping[str, Any]):
    """Most events pass through FlexCore unread, from a caller to the log and from the log to a caller."""

    __slots__ = ("_decode", "_members", "text")

    def __init__(self, text: str, decode: Callable[[str], Any] = json.loads) -> None:
        self.text = text
        self._decode = decode
        self._members: dict[str, Any] | None = None

    def _read(self) -> dict[str, Any]:
        if self._members is None:
            self._members = self._decode(self.text)
        return self._members

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def get(self, key: str, default: Any = None) -> Any:
        """Return a member, or `default`."""
        return self._read().get(key, default)

    def __repr__(self) -> str:
        return f"JsonObject({self.text!r})"
