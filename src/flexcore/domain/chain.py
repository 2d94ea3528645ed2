"""The chain that makes the event log tamper-evident: each event's hash covers its content and the hash before it.

Whoever changes, removes, inserts or moves an event breaks the chain at its position. Rewriting all that follows mends
it again; that is what signed checkpoints are for (`flexcore.domain.checkpoint`).
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

GENESIS: Final = b""
"""What the first event's hash follows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def link(
    previous: bytes,
    position: int,
    event_id: str,
    version: int,
    recorded_at: datetime,
    event_type: str,
    aggregate_type: str,
    aggregate_id: str,
    data: str,
    metadata: str,
) -> bytes:
    """Return an event's hash: SHA-256 over the one before it and the event, 32 bytes.

    `data` and `metadata` are the JSON texts as they are stored. The SQL function `event_link` does the same when
    events are appended. Each text goes in with its length in characters, so that no two events give the same bytes.
    """
    microseconds = (recorded_at - _EPOCH) // _MICROSECOND
    lengths = f"{len(event_type)} {len(aggregate_type)} {len(aggregate_id)} {len(data)}"
    content = f"{position} {event_id} {version} {microseconds} {lengths}\n" + "".join(
        (event_type, aggregate_type, aggregate_id, data, metadata)
    )
    return hashlib.sha256(previous + content.encode()).digest()
