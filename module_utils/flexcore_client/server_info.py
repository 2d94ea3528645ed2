"""What a FlexCore is and offers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .client import FlexCoreClient
from .normalise import optional_text

RUNTIME = "/api/v1/flexcore/runtime"
ROUTES = {
    "status": ("/api/v1/flexcore/status", None),
    "runtime": (f"{RUNTIME}/status", None),
    "metrics": (f"{RUNTIME}/metrics", "metrics"),
    "config": (f"{RUNTIME}/config", "settings"),
}
GATHERABLE = tuple(ROUTES)


async def server_info(client: FlexCoreClient, gather: Iterable[str]) -> dict[str, Any]:
    """Return who the server is, with what ``gather`` names beside; raises ClientError."""
    dialect = await client.dialect()
    info = await client.about()
    found: dict[str, Any] = {
        "dialect": dialect.name,
        "evidence": client.evidence,
        "version": optional_text(info.get("version")),
        "node_id": optional_text(info.get("node_id")),
        "info": info,
    }
    for name in gather:
        await client.require(f"its {name}")
        path, within = ROUTES[name]
        document = await client.find(path, also=(503,))
        found[name] = (document or {}).get(within) if within else document
    return found
