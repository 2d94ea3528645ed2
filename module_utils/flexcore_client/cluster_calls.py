"""Nodes and services of our own dialect: who is there, who works, and who is to."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .client import FlexCoreClient
from .errors import ClientError, FailureKind
from .waiter import wait_until

CLUSTER = "/api/v1/flexcore/cluster"
NODES = f"{CLUSTER}/nodes"
SERVICES = "/api/v1/flexcore/services"
DRAINING, DRAINED, ACTIVE = "draining", "drained", "active"
LOOK_SECONDS = 0.5


class ClusterCalls:
    """What can be done about nodes; every method raises ClientError."""

    def __init__(self, client: FlexCoreClient) -> None:
        self._client = client

    async def status(self) -> dict[str, Any]:
        """Return the cluster's name, its leader and its nodes."""
        return self._client.checked(await self._client.get(f"{CLUSTER}/status"))

    async def nodes(self) -> list[dict[str, Any]]:
        """Return all nodes, in the order of their ids."""
        return [node for node in await self._client.pages(NODES, "nodes") if isinstance(node, dict)]

    async def node(self, node_id: str) -> dict[str, Any]:
        """Return one node; ClientError (api_error) when nobody knows it."""
        nodes = await self.nodes()
        for node in nodes:
            if node.get("node_id") == node_id:
                return node
        raise ClientError(
            FailureKind.API_ERROR,
            what=f"Looking for node {node_id} at {self._client.url}",
            reason="nobody knows such a node",
            next_step=f"Known are: {', '.join(str(node.get('node_id')) for node in nodes) or 'none'}.",
            http_status=404,
        )

    async def order(self, node_id: str, drain: bool) -> dict[str, Any]:
        """Take a node out of work, or back into it; one that is so already stays so."""
        verb = "drain" if drain else "resume"
        return await self._client.change("POST", f"{NODES}/{quote(node_id, safe='')}/{verb}", idempotent=True)

    async def settled(self, node_id: str, status: str, seconds: float) -> dict[str, Any]:
        """Wait until a node has come to ``status``; ClientError (timeout) when it does not within ``seconds``."""
        waited = await wait_until(
            lambda: self.node(node_id),
            lambda node: node.get("status") == status,
            timeout=seconds,
            interval=LOOK_SECONDS,
            clock=self._client.clock,
        )
        if waited.satisfied:
            return waited.last
        busy = waited.last.get("active_executions")
        raise ClientError(
            FailureKind.TIMEOUT,
            what=f"Waiting for node {node_id} at {self._client.url}",
            reason=f"it is still {waited.last.get('status')} after {seconds:g} s, with {busy} executions under way",
            next_step="Wait longer (wait_timeout), or cancel what runs on it.",
            phase="total",
            facts={"node": waited.last},
        )

    async def services(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the services that FlexCore looks after, or the one called ``name`` if there is one."""
        if name is not None:
            found = await self._client.find(f"{SERVICES}/{quote(name, safe='')}")
            return [] if found is None else [found]
        listed = self._client.items(await self._client.get(SERVICES), "services")
        return [service for service in listed if isinstance(service, dict)]
