"""Asking for the end of an execution on whichever node runs it.

The wish is kept in the database, where every node looks for those that concern it; the live channel only spares the
wait until it looks.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Final, Protocol

from flexcore.application.executions import Executions
from flexcore.application.ports import LiveChannel, LiveMessage
from flexcore.domain.errors import Unavailable

KIND: Final = "cancel"
LOOK_SECONDS: Final = 1.0

_logger = logging.getLogger("flexcore.executions")


class CancelRequests(Protocol):
    """Keeps which executions somebody wants to end. Raises Unavailable while the database does not answer."""

    async def add(self, execution_id: str) -> None:
        """Keep the wish; once is enough."""
        ...

    async def among(self, execution_ids: Collection[str]) -> set[str]:
        """Return those of `execution_ids` that are to end."""
        ...


class Cancellation:
    """Passes wishes on, and fulfils those that concern executions of this node."""

    def __init__(self, requests: CancelRequests, channel: LiveChannel, executions: Executions) -> None:
        self._requests = requests
        self._channel = channel
        self._executions = executions

    async def request(self, execution_id: str) -> None:
        """Ask the node that runs the execution to end it, and any that would begin it not to; raises Unavailable."""
        await self._requests.add(execution_id)
        self._channel.publish(KIND, execution_id=execution_id)

    async def wanted(self, execution_ids: Collection[str]) -> set[str]:
        """Return those of `execution_ids` whose end was asked for; raises Unavailable."""
        return await self._requests.among(execution_ids)

    async def fulfil(self) -> None:
        """Cancel what is asked for; returns only by being cancelled."""
        unsubscribe = self._channel.subscribe(KIND, self._hear)
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await self._look()
        finally:
            unsubscribe()

    def _hear(self, message: LiveMessage) -> None:
        self._cancel(str(message.get("execution_id")))

    async def _look(self) -> None:
        running = self._executions.running
        if not running:
            return
        try:
            wanted = await self._requests.among(running)
        except Unavailable:
            # The health check tells of it; the next look will do.
            return
        for execution_id in wanted:
            self._cancel(execution_id)

    def _cancel(self, execution_id: str) -> None:
        if self._executions.cancel(execution_id):
            _logger.info("execution %s is cancelled on request", execution_id)
