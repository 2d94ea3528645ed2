"""The chains that make the event log and the audit trail tamper-evident: each hash covers an entry and the hash before.

Whoever changes, removes, inserts or moves an entry breaks the chain at its position. Rewriting all that follows mends
it again; that is what signed checkpoints of the event log are for (`flexcore.domain.checkpoint`).
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

GENESIS: Final = b""
"""What the first hash follows."""

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


RecordContent: TypeAlias = tuple[
    int, str, datetime, datetime, int, str, str, str, str, str, str | None, str | None, str
]
"""What the hash of an audit record covers: position, id, at, recorded_at, count, actor, action, target, outcome,
detail, source, correlation_id, node_id.
"""


def link_record(previous: bytes, content: RecordContent) -> bytes:
    """Return an audit record's hash: SHA-256 over the one before it and the record, 32 bytes.

    The SQL function `audit_link` does the same when records are kept. What is NULL has no length, not even 0.
    """
    position, record_id, at, recorded_at, count, *texts, node_id = content
    moments = ((moment - _EPOCH) // _MICROSECOND for moment in (at, recorded_at))
    lengths = ("" if text is None else len(text) for text in texts)
    facts = " ".join(str(fact) for fact in (position, record_id, *moments, count, *lengths))
    covered = f"{facts}\n{''.join(text or '' for text in texts)}{node_id}"
    return hashlib.sha256(previous + covered.encode()).digest()
