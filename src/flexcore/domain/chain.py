"""The chain that makes the event log tamper-evident: each event's hash covers its content and the hash before it.

Whoever changes, removes, inserts or moves an event breaks the chain at its position. Rewriting all that follows mends
it again; that is what signed checkpoints are for (`flexcore.domain.checkpoint`).
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

GENESIS: Final = b""
"""What the first event's hash follows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


Content: TypeAlias = tuple[int, str, int, datetime, str, str, str, str, str]
"""What a hash covers: position, id, version, recorded_at, type, aggregate_type, aggregate_id, data, metadata.

The last two are the JSON texts as they are stored.
"""


def link(previous: bytes, content: Content) -> bytes:
    """Return an event's hash: SHA-256 over the one before it and the event, 32 bytes.

    The SQL function `event_link` does the same when events are appended. Each text goes in with its length in
    characters, so that no two different events give the same bytes.
    """
    position, event_id, version, recorded_at, event_type, aggregate_type, aggregate_id, data, metadata = content
    microseconds = (recorded_at - _EPOCH) // _MICROSECOND
    lengths = f"{len(event_type)} {len(aggregate_type)} {len(aggregate_id)} {len(data)}"
    texts = f"{event_type}{aggregate_type}{aggregate_id}{data}{metadata}"
    covered = f"{position} {event_id} {version} {microseconds} {lengths}\n{texts}"
    return hashlib.sha256(previous + covered.encode()).digest()
