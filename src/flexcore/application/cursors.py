"""Opaque cursors: a place in a feed that a caller hands back unchanged to read on from there."""

import base64
import binascii
from typing import Final

from flexcore.domain.errors import InvalidInput

_LARGEST: Final = 2**63


def encode(feed: str, place: int | str) -> str:
    """Write a place in the feed called `feed`; the cursor of one feed is none of another."""
    return base64.urlsafe_b64encode(f"{feed}:{place}".encode()).decode().rstrip("=")


def decode_text(feed: str, cursor: str) -> str:
    """Read a place that `encode` wrote; raises InvalidInput for what is no cursor of this feed."""
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except (ValueError, binascii.Error) as error:
        raise unknown() from error
    if not decoded.startswith(f"{feed}:"):
        raise unknown()
    return decoded.removeprefix(f"{feed}:")


def decode(feed: str, cursor: str) -> int:
    """Read a place that is a position; raises InvalidInput for anything else."""
    return position(decode_text(feed, cursor))


def position(text: str) -> int:
    """Read a position, which may be a part of a place; raises InvalidInput for what is none."""
    try:
        number = int(text)
    except ValueError as error:
        raise unknown() from error
    if not 0 <= number < _LARGEST:
        raise unknown()
    return number


def unknown() -> InvalidInput:
    """Return what a caller is told of a cursor that leads nowhere."""
    return InvalidInput.field("cursor", "must be a next_cursor from an earlier answer to the same question, unchanged")
