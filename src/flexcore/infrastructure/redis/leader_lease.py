"""The leader's lease: one key that runs out by itself."""

from typing import Any, Final

from flexcore.application.leadership import LEASE_SECONDS, LeaseView
from flexcore.infrastructure.redis.connection import RedisAccess, bounded, client

KEY: Final = "flexcore:leader"

# Takes the lease if nobody has it, and lengthens it if it is ours; one step, so nobody comes between.
_ACQUIRE: Final = """
local holder = redis.call('GET', KEYS[1])
if not holder then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return ARGV[1]
end
if holder == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return holder
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""


class RedisLeaderLease:
    """The lease as one process of a node sees it; `incarnation` tells it from the node's earlier processes."""

    def __init__(self, access: RedisAccess, *, node_id: str, incarnation: str) -> None:
        self._redis = client(access, node_id=node_id)
        # A node id holds no slash.
        self._me = f"{node_id}/{incarnation}"

    async def acquire(self) -> LeaseView:
        """Take the lease if it is free, lengthen it if it is ours; raises Unavailable."""
        async with bounded():
            holder = await self._redis.eval(_ACQUIRE, 1, KEY, self._me, str(int(LEASE_SECONDS * 1000)))
        return self._view(holder)

    async def look(self) -> LeaseView:
        """See who has it; raises Unavailable."""
        async with bounded():
            holder = await self._redis.get(KEY)
        return self._view(holder)

    async def release(self) -> None:
        """Give it back if it is ours; raises Unavailable, and then it runs out by itself."""
        async with bounded():
            await self._redis.eval(_RELEASE, 1, KEY, self._me)

    async def close(self) -> None:
        """Hang up."""
        await self._redis.aclose()

    def _view(self, holder: Any) -> LeaseView:
        return LeaseView(None if holder is None else holder.partition("/")[0], mine=holder == self._me)
