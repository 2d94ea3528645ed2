"""Signing checkpoints of the event log while the node runs."""

import asyncio
import logging
from typing import Final, Protocol

from flexcore.application.ports import Clock
from flexcore.application.verification import StoredChain
from flexcore.domain.checkpoint import Checkpoint
from flexcore.domain.errors import FlexCoreError, Unavailable

INTERVAL_SECONDS: Final = 10.0

_log = logging.getLogger("flexcore.checkpoints")


class CheckpointSink(Protocol):
    """Takes checkpoints and signs them."""

    async def add(self, checkpoint: Checkpoint) -> None:
        """Keep one durably; raises FlexCoreError if it can't be kept."""
        ...


class Checkpointer:
    """Signs the end of the log every ten seconds, if it has moved."""

    def __init__(self, stored: StoredChain, sink: CheckpointSink, *, node_id: str, clock: Clock) -> None:
        self._stored = stored
        self._sink = sink
        self._node_id = node_id
        self._clock = clock
        self._last = 0
        self._failed: str | None = None

    async def run(self) -> None:
        """Sign until cancelled. What can't be signed now is signed later, and said once."""
        while True:
            try:
                await self.sign()
            except Unavailable:
                pass  # the health monitor says so
            except FlexCoreError as error:
                if str(error) != self._failed:
                    _log.error("no checkpoint of the event log can be kept: %s", error)
                self._failed = str(error)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def sign(self) -> None:
        """Sign the end of the log, if it has moved; raises Unavailable, FlexCoreError."""
        position = await self._stored.head()
        if position == self._last:
            return
        link = await self._stored.hash_at(position)
        if link is None:
            return
        await self._sink.add(Checkpoint(position, link.hex(), self._clock(), self._node_id))
        self._last, self._failed = position, None
