"""Take a node out of work and back, and read who is there."""

from __future__ import annotations

from typing import Any

from .change import Change
from .client import FlexCoreClient
from .cluster_calls import ACTIVE, DRAINED, DRAINING, ClusterCalls

STATES = (DRAINED, ACTIVE)
OFFER = "a cluster of nodes"


async def bring_about(
    client: FlexCoreClient, node_id: str, state: str, wait_seconds: float | None, *, dry: bool
) -> dict[str, Any]:
    """Do what is to be done, nothing when ``dry``, and return the result; raises ClientError."""
    await client.require(OFFER)
    calls = ClusterCalls(client)
    node = await calls.node(node_id)
    status = str(node.get("status"))
    drains = state == DRAINED
    # Of a node that is down nobody knows whether it was drained: it is told, and the diff names what is wanted.
    settled = status in (DRAINED, DRAINING) if drains else status == ACTIVE
    change = Change({"node_id": node_id, "works": not drains}, {"node_id": node_id, "works": not drains})
    if not settled:
        change = Change({"node_id": node_id, "works": drains}, {"node_id": node_id, "works": not drains})
    if not dry:
        if not settled:
            node = await calls.order(node_id, drains)
        up = node.get("status") in (ACTIVE, DRAINING, DRAINED)
        if wait_seconds is not None and up and node.get("status") != state:
            node = await calls.settled(node_id, state, wait_seconds)
    return change.result(node=node)


async def read_nodes(client: FlexCoreClient, node_id: str | None, status: str | None) -> dict[str, Any]:
    """Return the cluster's name, its leader and the nodes that are wanted; raises ClientError."""
    await client.require(OFFER)
    cluster = await ClusterCalls(client).status()
    nodes = [
        node
        for node in client.items(cluster, "nodes")
        if isinstance(node, dict) and node_id in (None, node.get("node_id")) and status in (None, node.get("status"))
    ]
    return {"cluster": cluster.get("cluster"), "leader": cluster.get("leader"), "nodes": nodes}


async def read_services(client: FlexCoreClient, name: str | None, status: str | None) -> list[dict[str, Any]]:
    """Return the services that are wanted; raises ClientError."""
    await client.require("a list of services")
    found = await ClusterCalls(client).services(name)
    return [service for service in found if status in (None, service.get("status"))]
