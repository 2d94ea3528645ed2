"""HTTP/1.1 as bytes (RFC 9112): a request to send, and the head and body of an answer to read.

Strict where leniency would let one answer be taken for another: a head that is too large or malformed, two lengths
that differ, or a length that is no number is not HTTP. No I/O here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Callable

MAX_HEAD_BYTES = 64 * 1024
HEAD_END = b"\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


class NotHttpError(ValueError):
    """What came is no answer in HTTP/1.1; the message says what is wrong with it."""


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

    def head(self, host: str) -> bytes:
        """Write the request line and the headers; raises ValueError for a header that would break out of its line."""
        headers = {"host": host, **self.headers}
        if self.body is not None:
            headers |= {"content-type": self.body.content_type, "content-length": str(self.body.length)}
        elif self.method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = "0"
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if any(not line.isprintable() for line in lines):
            raise ValueError("a header holds a control character")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    keep_alive: bool

    @property
    def length(self) -> int | None:
        """Bytes of the body; None when it is chunked or ends with the connection."""
        if self.status in (204, 304):
            return 0
        if self.chunked or "content-length" not in self.headers:
            return None
        lengths = {part.strip() for part in self.headers["content-length"].split(",")}
        text = lengths.pop()
        if lengths or not text.isascii() or not text.isdigit():
            raise NotHttpError("its Content-Length is no number")
        return int(text)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        codings = self.headers.get("transfer-encoding", "").lower()
        if codings not in ("", "chunked"):
            raise NotHttpError(f"its Transfer-Encoding is {codings!r}, unasked")
        return codings == "chunked"


def parse_head(raw: bytes) -> Head:
    """Read a head without its closing empty line; raises NotHttpError."""
    first, *lines = raw.split(b"\r\n")
    match = STATUS_LINE.fullmatch(first)
    if match is None:
        raise NotHttpError(f"it begins {first[:40].decode('utf-8', 'replace')!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or FIELD_NAME.fullmatch(name) is None:
            raise NotHttpError("one of its header lines is malformed")
        key, text = name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    wish = headers.get("connection", "").lower()
    keep_alive = "close" not in wish and (match[1] == b"1" or "keep-alive" in wish)
    return Head(int(match[2]), headers, keep_alive)


def chunk_size(line: bytes) -> int:
    """Read the line before a chunk; raises NotHttpError."""
    match = CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise NotHttpError("the size of a chunk is no number")
    return int(match[1], 16)
