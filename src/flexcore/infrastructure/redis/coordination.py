"""Everything by which a node coordinates with the others, joined, started and ended as one."""

from flexcore.application.leadership import LeaderElection, LeadershipTerms
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.redis.leader_lease import RedisLeaderLease
from flexcore.infrastructure.redis.live_channel import RedisLiveChannel


class Coordination:
    """The live channel and the election. `incarnation` is an id that this process alone has."""

    def __init__(self, access: RedisAccess, *, node_id: str, incarnation: str, terms: LeadershipTerms) -> None:
        self._lease = RedisLeaderLease(access, node_id=node_id, incarnation=incarnation)
        self.channel = RedisLiveChannel(access, node_id=node_id, origin=incarnation)
        self.leadership = LeaderElection(node_id=node_id, lease=self._lease, terms=terms, channel=self.channel)

    def start(self) -> None:
        """Begin; nothing here waits for Redis."""
        self.channel.start()
        self.leadership.start()

    async def close(self) -> None:
        """Leave in order: give the lease back, then hang up. Takes a few seconds at most, whatever Redis does."""
        await self.leadership.close()
        await self._lease.close()
        await self.channel.close()
