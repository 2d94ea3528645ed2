"""What is asked of a server, whichever way leads there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Callable


@dataclass(frozen=True)
class Body:
    """What a request carries: its type, its length in bytes, and the parts it comes in, anew for every attempt."""

    content_type: str
    length: int
    parts: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Request:
    """One request; ``target`` is the path with its query, already encoded."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers together with those that say what the body is."""
        if self.body is not None:
            return {
                **self.headers,
                "content-type": self.body.content_type,
                "content-length": str(self.body.length),
            }
        return {**self.headers, "content-length": "0"} if self.method in ("POST", "PUT", "PATCH") else {**self.headers}
