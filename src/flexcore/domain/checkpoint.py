"""Checkpoints: what the chain's end was at some moment, signed and kept where the database can't reach.

Who can rewrite the events table can rewrite the whole chain after a change. A checkpoint from before the change then no
longer fits, and without its key nobody can make another one.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The hash of the event at `position`, 64 hexadecimal digits, as `node_id` saw it at `signed_at`."""

    position: int
    hash: str
    signed_at: datetime
    node_id: str

    def statement(self) -> bytes:
        """Return what is signed."""
        return f"flexcore checkpoint {self.position} {self.hash} {self.signed_at.isoformat()} {self.node_id}".encode()
