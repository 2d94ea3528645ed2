"""The cluster's use cases: who is there, who leads, and taking a node out of work and back."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from flexcore.application.drain import Drain, NodeStream
from flexcore.application.events import Events
from flexcore.application.leadership import LeaderElection
from flexcore.application.membership import Membership, NodeView
from flexcore.application.ports import LiveChannel
from flexcore.domain.errors import NotFound, Unavailable, VersionConflict
from flexcore.domain.events import NewEvent
from flexcore.domain.node import Node, NodeStatus, may_name_a_node

# Two operators may change one node at the same moment, but hardly this often in a row.
ATTEMPTS: Final = 10

Decision = Callable[[Node], NewEvent | None]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster by its name, the node that leads it (None: nobody does now), and its nodes."""

    cluster: str
    leader: str | None
    nodes: tuple[NodeView, ...]


class Cluster:
    """The cluster as this node sees it. Asking waits for nobody; draining and resuming are facts in the event log."""

    def __init__(
        self,
        *,
        name: str,
        membership: Membership,
        leadership: LeaderElection,
        drain: Drain,
        events: Events,
        channel: LiveChannel,
    ) -> None:
        self._name = name
        self._membership = membership
        self._leadership = leadership
        self._drain = drain
        self._events = events
        self._channel = channel

    def overview(self) -> ClusterView:
        """Tell who leads and who is there, as far as this node knows."""
        return ClusterView(self._name, self._leadership.leader, self._membership.nodes())

    def nodes(self) -> tuple[NodeView, ...]:
        """Every node, by its id."""
        return self._membership.nodes()

    async def drain(self, node_id: str, correlation_id: str) -> NodeView:
        """Let a node finish what it does and take nothing new, until it is resumed; also one that is down.

        Raises NotFound for a node that nobody knows, and Unavailable.
        """
        await self._change(node_id, lambda node: node.drain(self._metadata(correlation_id)), news="drain")
        view = self._view(node_id)
        return replace(view, status=NodeStatus.DRAINING) if view.status is NodeStatus.ACTIVE else view

    async def resume(self, node_id: str, correlation_id: str) -> NodeView:
        """Let a drained node take work again; raises NotFound for a node that nobody knows, and Unavailable."""
        await self._change(node_id, lambda node: node.resume(self._metadata(correlation_id)), news="resume")
        view = self._view(node_id)
        was_drained = view.status in (NodeStatus.DRAINING, NodeStatus.DRAINED)
        return replace(view, status=NodeStatus.ACTIVE) if was_drained and node_id != self._membership.node_id else view

    async def _change(self, node_id: str, decide: Decision, news: str) -> None:
        if not may_name_a_node(node_id):
            raise NotFound(_no_node(node_id))
        stream = NodeStream(self._events, node_id)
        for _ in range(ATTEMPTS):
            node = await stream.read()
            if node.version == 0 and all(node_id != known.node_id for known in self._membership.nodes()):
                raise NotFound(_no_node(node_id))
            event = decide(node)
            if event is None:
                break
            with suppress(VersionConflict):
                await self._events.append([event])
                break
        else:
            raise Unavailable("event_store", f"node '{node_id}' can't be changed: its stream does not come to rest")
        self._channel.publish(news, node_id=node_id)
        if node_id == self._membership.node_id:
            await self._drain.look()

    def _view(self, node_id: str) -> NodeView:
        for node in self._membership.nodes():
            if node.node_id == node_id:
                return node
        return NodeView(node_id, None, None, NodeStatus.UNKNOWN, None, 0)

    def _metadata(self, correlation_id: str) -> dict[str, str]:
        return {"correlation_id": correlation_id, "node_id": self._membership.node_id}


def _no_node(node_id: str) -> str:
    return f"there is no node '{node_id}'; GET /api/v1/flexcore/cluster/nodes lists those there are"
