"""Whether this node takes new work. An operator decides, an event in the node's stream says it, so it outlives both.

The node reads its stream at the start, when it is told that there is news, and every few seconds in case it was not.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from flexcore.application.background import Background, wait_at_most
from flexcore.application.events import Events
from flexcore.application.ports import LiveChannel, LiveMessage
from flexcore.domain.errors import Unavailable
from flexcore.domain.node import NODE_AGGREGATE, Node

LOOK_SECONDS: Final = 2.0
# Nothing is taken before the first look, so that one is not put off.
FIRST_LOOK_SECONDS: Final = 0.5
START_SECONDS: Final = 2.0

_logger = logging.getLogger("flexcore.cluster")


class NodeStream:
    """Follows the stream of one node; reading it again costs only what is new."""

    def __init__(self, events: Events, node_id: str) -> None:
        self._events = events
        self._node = Node(node_id)

    async def read(self) -> Node:
        """Return the node as it is now; raises Unavailable."""
        node = self._node
        self._node = node.after(await self._events.stream(NODE_AGGREGATE, node.node_id, node.version))
        return self._node


class Drain:
    """The drain of one node. Until its stream could be read once, it takes nothing: it may have been drained."""

    def __init__(self, *, events: Events, channel: LiveChannel, node_id: str) -> None:
        self._stream = NodeStream(events, node_id)
        self._channel = channel
        self._node_id = node_id
        self._drained: bool | None = None
        self._news = asyncio.Event()
        self._reading = asyncio.Lock()
        self._background = Background()

    @property
    def drained(self) -> bool:
        """Whether an operator has drained this node."""
        return bool(self._drained)

    @property
    def reason(self) -> str | None:
        """Why this node takes nothing new; None if it does."""
        match self._drained:
            case None:
                return f"node {self._node_id} could not yet learn whether it is drained"
            case True:
                return f"node {self._node_id} is drained and takes nothing new until it is resumed"
            case False:
                return None

    async def start(self) -> None:
        """Read the stream, if PostgreSQL answers soon, and go on following it."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self.look()
        for kind in ("drain", "resume"):
            self._channel.subscribe(kind, self._on_news)
        self._background.run("drain", self._follow)

    async def close(self) -> None:
        """Stop following the stream."""
        await self._background.close()

    async def look(self) -> None:
        """Read the stream now, and tell the other nodes if that changed something; raises Unavailable."""
        async with self._reading:
            before, self._drained = self._drained, (await self._stream.read()).drained
        if self._drained != bool(before):
            _logger.warning("drained: takes nothing new" if self._drained else "resumed: takes work again")
            self._channel.publish("nodes")

    def _on_news(self, message: LiveMessage) -> None:
        if message.get("node_id") == self._node_id:
            self._news.set()

    async def _follow(self) -> None:
        while True:
            await wait_at_most(self._news, FIRST_LOOK_SECONDS if self._drained is None else LOOK_SECONDS)
            # Without PostgreSQL there is no work either; what was known stays.
            with suppress(Unavailable):
                await self.look()
