"""Everything by which a node coordinates with the others, joined, started and ended as one."""

from collections.abc import Callable

from flexcore.application.cluster import Cluster
from flexcore.application.drain import Drain
from flexcore.application.events import Events
from flexcore.application.leadership import LeaderElection, LeadershipTerms
from flexcore.application.membership import Membership, NodeRecord
from flexcore.application.ports import Clock
from flexcore.application.runtime import Worker
from flexcore.domain.node import NodeStatus
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.redis.leader_lease import RedisLeaderLease
from flexcore.infrastructure.redis.live_channel import RedisLiveChannel
from flexcore.infrastructure.redis.node_registry import RedisNodeRegistry


class Coordination:
    """The live channel, the registry, the election and the drain of the node `identity`, in the cluster `name`.

    `executions` says how many executions run here now, `stopping` whether the process is about to end.
    """

    def __init__(
        self,
        access: RedisAccess,
        *,
        name: str,
        identity: NodeRecord,
        events: Events,
        terms: LeadershipTerms,
        executions: Callable[[], int],
        stopping: Callable[[], bool],
        clock: Clock,
    ) -> None:
        node_id = identity.node_id
        self._executions = executions
        self._stopping = stopping
        self._lease = RedisLeaderLease(access, node_id=node_id, incarnation=identity.incarnation)
        self._registry = RedisNodeRegistry(access, node_id=node_id)
        self.channel = RedisLiveChannel(access, node_id=node_id, origin=identity.incarnation)
        self.drain = Drain(events=events, channel=self.channel, node_id=node_id)
        self.membership = Membership(
            identity=identity,
            condition=self._condition,
            registry=self._registry,
            channel=self.channel,
            clock=clock,
        )
        self.leadership = LeaderElection(
            node_id=node_id, lease=self._lease, terms=terms, channel=self.channel, may_lead=self._may_lead
        )
        self.cluster = Cluster(
            name=name,
            membership=self.membership,
            leadership=self.leadership,
            drain=self.drain,
            events=events,
            channel=self.channel,
        )

    async def start(self) -> None:
        """Begin. Waits a moment for PostgreSQL, to know whether this node is drained, and never for Redis."""
        self.channel.start()
        await self.drain.start()
        self.membership.start()
        self.leadership.start()

    async def close(self) -> None:
        """Leave in order: lease, registry, channel. Takes a few seconds at most, whatever Redis does."""
        await self.leadership.close()
        await self.membership.close()
        await self.drain.close()
        await self.channel.close()
        await self._lease.close()
        await self._registry.close()

    def workers(self) -> tuple[Worker, ...]:
        """Tell how the parts fare that talk to Redis."""
        leader, token = self.leadership.leader, self.leadership.token
        election = f"nobody leads, as far as is known; node {self.membership.node_id} stands for it"
        if token is not None:
            election = f"leads, in term {token}"
        elif leader is not None:
            election = f"node {leader} leads"
        deaf = None if self.channel.connected else "the other nodes are not heard"
        return (
            Worker.of("node_registry", self.membership.trouble, "the other nodes are known"),
            Worker.of("live_channel", deaf, "the other nodes are heard"),
            Worker.of("leader_election", None, election),
        )

    def _condition(self) -> tuple[NodeStatus, int]:
        running = self._executions()
        if self._stopping():
            return NodeStatus.DRAINING, running
        if self.drain.drained:
            return NodeStatus.DRAINING if running else NodeStatus.DRAINED, running
        return NodeStatus.ACTIVE, running

    def _may_lead(self) -> bool:
        """Leave it to others, if there are any, while this node is on its way out of work."""
        out_of_work = self._stopping() or self.drain.drained
        return not (out_of_work and self.membership.another_is_active())
