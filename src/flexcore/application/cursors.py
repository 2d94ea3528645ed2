"""Opaque cursors: a place in a feed that a caller hands back unchanged to read on from there."""

import base64
import binascii
from typing import Final

from flexcore.domain.errors import InvalidInput

_LARGEST: Final = 2**63


def encode(feed: str, position: int) -> str:
    """Write a place in the feed called `feed`; the cursor of one feed is none of another."""
    return base64.urlsafe_b64encode(f"{feed}:{position}".encode()).decode().rstrip("=")


def decode(feed: str, cursor: str) -> int:
    """Read what `encode` wrote; raises InvalidInput for anything else."""
    prefix = f"{feed}:".encode()
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        position = int(decoded.removeprefix(prefix))
    except (ValueError, binascii.Error) as error:
        raise _unknown() from error
    if not decoded.startswith(prefix) or not 0 <= position < _LARGEST:
        raise _unknown()
    return position


def _unknown() -> InvalidInput:
    return InvalidInput.field("cursor", "must be a next_cursor from an earlier answer, unchanged")
