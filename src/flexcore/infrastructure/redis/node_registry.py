"""The node registry: one key a node, which runs out when the node falls silent."""

import logging
from typing import Any, Final

import msgspec

from flexcore.application.membership import SILENCE_SECONDS, Heartbeat, NodeRecord
from flexcore.infrastructure.redis.connection import RedisAccess, bounded, client

PREFIX: Final = "flexcore:nodes:"
_LIFE_MS: Final = int(SILENCE_SECONDS * 1000)
_KEYS_AT_ONCE: Final = 500

# Only our own record: a new process of the same node may have written its by now.
_LEAVE: Final = """
local found = redis.call('GET', KEYS[1])
if found and cjson.decode(found).incarnation == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""

_logger = logging.getLogger("flexcore.cluster")


class RedisNodeRegistry:
    """The registry through the port NodeRegistry. Ages come from Redis, so no node's clock matters."""

    def __init__(self, access: RedisAccess, *, node_id: str) -> None:
        self._redis = client(access, node_id=node_id)

    async def announce(self, record: NodeRecord) -> str | None:
        """Say that this node is there; returns the incarnation that said so before it; raises Unavailable."""
        key, text = PREFIX + record.node_id, msgspec.json.encode(record).decode()
        async with bounded():
            before = await self._redis.set(key, text, px=_LIFE_MS, get=True)
        known = None if before is None else _decode(before)
        return None if known is None else known.incarnation

    async def nodes(self) -> list[Heartbeat]:
        """Return every node that has not been silent for too long; raises Unavailable."""
        async with bounded():
            keys = [key async for key in self._redis.scan_iter(match=PREFIX + "*", count=_KEYS_AT_ONCE)]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.get(key)
                    pipeline.pttl(key)
                answers = await pipeline.execute()
        found = []
        for text, left_ms in zip(answers[::2], answers[1::2], strict=True):
            record = None if text is None else _decode(text)
            if record is not None:
                found.append(Heartbeat(record, (_LIFE_MS - max(left_ms, 0)) / 1000))
        return found

    async def leave(self, record: NodeRecord) -> None:
        """Take this node's record away; raises Unavailable."""
        async with bounded():
            await self._redis.eval(_LEAVE, 1, PREFIX + record.node_id, record.incarnation)

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()


def _decode(text: Any) -> NodeRecord | None:
    try:
        return msgspec.json.decode(text, type=NodeRecord)
    except msgspec.MsgspecError:
        _logger.warning("the node registry holds what is no node of FlexCore")
        return None
