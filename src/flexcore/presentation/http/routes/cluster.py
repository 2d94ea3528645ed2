"""The cluster: its nodes, its leader, and taking nodes out of work and back."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from flexcore.application.cluster import Cluster, ClusterView
from flexcore.application.membership import NodeView
from flexcore.domain.access import Role
from flexcore.presentation.http.operations import MAX_OFFSET, Answer, Call, Content, NoParameters, Operation

MAX_PAGE = 200

_CLUSTER = "/api/v1/flexcore/cluster"
_NODES = _CLUSTER + "/nodes"


class NodesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET nodes."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Nodes a page")] = 50
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Nodes to pass over")] = 0


class NodePage(Struct, frozen=True):
    """Part of the nodes, in the order of their ids."""

    nodes: tuple[NodeView, ...]
    total: int
    limit: int
    offset: int


class ClusterRoutes:
    """/api/v1/flexcore/cluster and below."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=_CLUSTER + "/status",
                name="getCluster",
                summary="Who leads and who is there, as this node saw it within the last seconds",
                tag="cluster",
                handler=self._status,
                answers={200: Content(ClusterView, "The cluster")},
            ),
            Operation(
                method="GET",
                path=_NODES,
                name="listNodes",
                summary="The nodes; those of the others are unknown while Redis is away",
                tag="cluster",
                handler=self._list,
                query=NodesQuery,
                answers={200: Content(NodePage, "One page of nodes")},
            ),
            Operation(
                method="POST",
                path=_NODES + "/{id}/drain",
                name="drainNode",
                role=Role.OPERATOR,
                summary="Let a node finish what it does and take nothing new, also after a restart",
                tag="cluster",
                handler=self._drain,
                answers={200: Content(NodeView, "The node, which drains or has drained")},
                problems=(404, 429, 503),
            ),
            Operation(
                method="POST",
                path=_NODES + "/{id}/resume",
                name="resumeNode",
                role=Role.OPERATOR,
                summary="Let a drained node take work again",
                tag="cluster",
                handler=self._resume,
                answers={200: Content(NodeView, "The node")},
                problems=(404, 429, 503),
            ),
        )

    async def _status(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(self._cluster.overview())

    async def _list(self, call: Call[NodesQuery, None]) -> Answer:
        nodes = self._cluster.nodes()
        limit, offset = call.query.limit, call.query.offset
        return Answer(NodePage(nodes[offset : offset + limit], len(nodes), limit, offset))

    async def _drain(self, call: Call[Any, None]) -> Answer:
        return Answer(await self._cluster.drain(call.path["id"], call.correlation_id))

    async def _resume(self, call: Call[Any, None]) -> Answer:
        return Answer(await self._cluster.resume(call.path["id"], call.correlation_id))
