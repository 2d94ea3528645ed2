"""Doubles for what nodes coordinate by: one lease, one count of terms and one channel that several nodes share."""

from collections.abc import Callable
from typing import Any

from flexcore.application.leadership import LeaseView
from flexcore.application.membership import Heartbeat, NodeRecord
from flexcore.application.ports import LiveMessage
from flexcore.domain.errors import LeadershipLost, Unavailable


class Redis:
    """Who holds the lease. `down` makes every lease raise Unavailable."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.down = False


class Lease:
    """LeaderLease of one node; it does not run out, a test clears `redis.holder` instead."""

    def __init__(self, redis: Redis, node_id: str) -> None:
        self._redis = redis
        self._node_id = node_id

    async def acquire(self) -> LeaseView:
        self._answer()
        self._redis.holder = self._redis.holder or self._node_id
        return await self.look()

    async def look(self) -> LeaseView:
        self._answer()
        return LeaseView(self._redis.holder, mine=self._redis.holder == self._node_id)

    async def release(self) -> None:
        self._answer()
        if self._redis.holder == self._node_id:
            self._redis.holder = None

    def _answer(self) -> None:
        if self._redis.down:
            raise Unavailable("redis", "Redis can't be reached")


class Terms:
    """LeadershipTerms of all nodes. `down` makes it raise Unavailable."""

    def __init__(self) -> None:
        self.newest = 0
        self.down = False

    async def take(self, node_id: str) -> int:
        self._answer()
        self.newest += 1
        return self.newest

    async def confirm(self, token: int) -> None:
        self._answer()
        if token != self.newest:
            raise LeadershipLost(f"term {token} is over")

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("postgresql", "PostgreSQL refuses connections")


class Channel:
    """LiveChannel that all nodes of a test share."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self._callbacks: list[tuple[str, Callable[[LiveMessage], None]]] = []

    def publish(self, kind: str, **fields: Any) -> None:
        message = {"kind": kind, **fields}
        self.published.append(message)
        for wanted, callback in tuple(self._callbacks):
            if wanted == kind:
                callback(message)

    def subscribe(self, kind: str, callback: Callable[[LiveMessage], None]) -> Callable[[], None]:
        entry = (kind, callback)
        self._callbacks.append(entry)
        return lambda: self._callbacks.remove(entry)


class Registry:
    """NodeRegistry that all nodes of a test share. `down` makes it raise Unavailable; ages are set by the test."""

    def __init__(self) -> None:
        self.beats: dict[str, Heartbeat] = {}
        self.down = False

    async def announce(self, record: NodeRecord) -> str | None:
        self._answer()
        before = self.beats.get(record.node_id)
        self.beats[record.node_id] = Heartbeat(record, 0.0)
        return None if before is None else before.record.incarnation

    async def nodes(self) -> list[Heartbeat]:
        self._answer()
        return list(self.beats.values())

    async def leave(self, record: NodeRecord) -> None:
        self._answer()
        self.beats.pop(record.node_id, None)

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("redis", "Redis can't be reached")
