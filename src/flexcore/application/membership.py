"""Who is there: this node's heartbeats, and what it hears of the others'.

The registry is in Redis, and forgets nodes that fall silent. Nobody who asks here waits for it: a task reads it every
two seconds, or when a node says that something changed, and answers come from what it read last.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from flexcore.application.background import Background, wait_at_most
from flexcore.application.ports import Clock, LiveChannel, LiveMessage
from flexcore.domain.errors import Unavailable
from flexcore.domain.node import NodeStatus

HEARTBEAT_SECONDS: Final = 2.0
# A node that is silent for so long is gone.
SILENCE_SECONDS: Final = 10.0
# How long a node that went without a word is still shown.
REMEMBERED_SECONDS: Final = 3600.0
# The registry's time to live and our clock don't agree to the millisecond.
_TOLERANCE_SECONDS: Final = 0.5

_logger = logging.getLogger("flexcore.cluster")


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What a node says of itself. `incarnation` tells its process from those before it."""

    node_id: str
    incarnation: str
    address: str
    version: str
    started_at: datetime
    status: NodeStatus = NodeStatus.ACTIVE
    active_executions: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A node's record, and how long ago it was written."""

    record: NodeRecord
    age_seconds: float


class NodeRegistry(Protocol):
    """The nodes that are there. Every method raises Unavailable while Redis does not answer."""

    async def announce(self, record: NodeRecord) -> str | None:
        """Say that this node is there; returns the incarnation that said so before it, None if there was none."""
        ...

    async def nodes(self) -> list[Heartbeat]:
        """Return every node that has not been silent for too long."""
        ...

    async def leave(self, record: NodeRecord) -> None:
        """Take this node's record away."""
        ...


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node as this one sees it. What a node that is not there once said of itself may be unknown."""

    node_id: str
    address: str | None
    version: str | None
    status: NodeStatus
    last_heartbeat: datetime | None
    active_executions: int


@dataclass(frozen=True, slots=True)
class _Sighting:
    record: NodeRecord
    at: float  # monotonic
    present: bool = True


class Membership:
    """One node among the others. `condition` tells its status and its executions whenever that is needed."""

    def __init__(
        self,
        *,
        identity: NodeRecord,
        condition: Callable[[], tuple[NodeStatus, int]],
        registry: NodeRegistry,
        channel: LiveChannel,
        clock: Clock,
    ) -> None:
        self._identity = identity
        self._condition = condition
        self._registry = registry
        self._channel = channel
        self._clock = clock
        self._others: dict[str, _Sighting] = {}
        self._in_touch_since: float | None = None
        self._trouble: str | None = None
        self._announced: NodeStatus | None = None
        self._changed = asyncio.Event()
        self._background = Background()

    @property
    def node_id(self) -> str:
        """The id of this node."""
        return self._identity.node_id

    @property
    def trouble(self) -> str | None:
        """Why the other nodes are not known; None if they are."""
        return None if self._in_touch_since is not None else self._trouble or "the registry was not read yet"

    def start(self) -> None:
        """Begin to announce this node and to look for others."""
        self._channel.subscribe("nodes", self._on_news)
        self._background.run("node registry", self._keep_in_touch)

    async def close(self) -> None:
        """Leave the registry."""
        await self._background.close()
        try:
            await self._registry.leave(self._identity)
        except Unavailable:
            return  # its record runs out by itself
        self._channel.publish("nodes")

    def me(self) -> NodeView:
        """Tell how this node is right now."""
        return _view(self._record(), self._clock())

    def nodes(self) -> tuple[NodeView, ...]:
        """Every node by its id: this one as it is, the others as they were seen last."""
        others = (self._seen(sighting) for sighting in self._others.values())
        return tuple(sorted((self.me(), *others), key=lambda node: node.node_id))

    def another_is_active(self) -> bool:
        """Whether some other node is known to take work."""
        return any(node.status is NodeStatus.ACTIVE for node in self.nodes() if node.node_id != self.node_id)

    def _on_news(self, message: LiveMessage) -> None:
        self._changed.set()

    async def _keep_in_touch(self) -> None:
        while True:
            try:
                await self._beat()
            except Unavailable as error:
                self._in_touch_since = None
                if self._trouble != str(error):
                    _logger.warning("the other nodes are not known: %s; trying on", error)
                self._trouble = str(error)
            await wait_at_most(self._changed, HEARTBEAT_SECONDS)

    async def _beat(self) -> None:
        record = self._record()
        before = await self._registry.announce(record)
        if before not in (None, record.incarnation) and self._in_touch_since is not None:
            _logger.error("another process runs as node %s too; give each node its own node_id", record.node_id)
        found = await self._registry.nodes()
        now = time.monotonic()
        if self._in_touch_since is None:
            self._in_touch_since = now
            if self._trouble is not None:
                _logger.info("the other nodes are known again")
            self._trouble = None
        self._take_in(found, now)
        if self._announced is not record.status:
            self._announced = record.status
            self._channel.publish("nodes")

    def _take_in(self, found: list[Heartbeat], now: float) -> None:
        present = {
            beat.record.node_id: _Sighting(beat.record, now - beat.age_seconds)
            for beat in found
            if beat.record.node_id != self.node_id
        }
        absent = {
            node_id: replace(seen, present=False)
            for node_id, seen in self._others.items()
            # One that is gone before its record can have run out has left in order.
            if SILENCE_SECONDS - _TOLERANCE_SECONDS < now - seen.at < REMEMBERED_SECONDS
        }
        self._others = absent | present

    def _record(self) -> NodeRecord:
        status, active_executions = self._condition()
        return replace(self._identity, status=status, active_executions=active_executions)

    def _seen(self, sighting: _Sighting) -> NodeView:
        now = time.monotonic()
        view = _view(sighting.record, self._clock() - timedelta(seconds=now - sighting.at))
        if self._in_touch_since is None:
            return replace(view, status=NodeStatus.UNKNOWN)
        if not sighting.present:
            # Redis may have forgotten everybody a moment ago, and they have not said a word since.
            forgotten = now - self._in_touch_since < SILENCE_SECONDS
            return replace(view, status=NodeStatus.UNKNOWN if forgotten else NodeStatus.LOST, active_executions=0)
        return view


def _view(record: NodeRecord, heartbeat: datetime) -> NodeView:
    return NodeView(
        node_id=record.node_id,
        address=record.address,
        version=record.version,
        status=record.status,
        last_heartbeat=heartbeat,
        active_executions=record.active_executions,
    )
