"""The API generations of FlexCore that are met in the field, and how to tell which one a server speaks."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Callable

from .errors import ClientError, InputError


@dataclass(frozen=True)
class Dialect:
    """What one generation offers.

    ``caveat`` is what its ``/health`` does not prove. An empty one means that the answer rests on probes.
    ``execute`` is the route that runs a plugin to its end. Its body is the plugin's arguments, or, where the dialect
    ``names_operation``, an object with plugin, operation and arguments.
    ``signal`` is for a generation whose ``/health`` is a constant: the route whose answer does prove something.
    """

    name: str
    plugins: str
    paged: bool = False
    execute: str | None = None
    names_operation: bool = False
    signal: str | None = None
    caveat: str = ""


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("flexcore-v1", plugins="/api/v1/flexcore/plugins", paged=True),
        Dialect(
            "seed-2025",
            plugins="/api/v1/flexcore/plugins",
            execute="/api/v1/flexcore/plugins/{id}/execute",
            caveat="does not probe Redis, and falls back to a store in memory when PostgreSQL is down at its start",
        ),
        Dialect(
            "legacy-2025",
            plugins="/plugins",
            execute="/plugins/{id}/execute",
            caveat="its /health names no component",
        ),
        Dialect(
            "gin-2025",
            plugins="/api/v1/plugins/list",
            execute="/api/v1/plugins/{id}/execute",
            names_operation=True,
            signal="/api/v1/plugins/communication/status",
            caveat="its /health is a constant that checks nothing",
        ),
        Dialect(
            "s0-client",
            plugins="/api/v1/plugins",
            execute="/api/v1/plugins/{id}/execute",
            caveat="its /health names no component",
        ),
    )
}
AUTO = "auto"
API_CHOICES = (AUTO, *DIALECTS)


def forced_dialect(api: str) -> Dialect | None:
    """Return the dialect that the caller insists on, None for ``auto``; raises InputError for an unknown name."""
    if api == AUTO:
        return None
    if api not in DIALECTS:
        raise InputError(f"api is {api!r}: allowed are {', '.join(API_CHOICES)}")
    return DIALECTS[api]


async def detect(health: Any, ask: Callable[[str], Awaitable[Any]]) -> tuple[Dialect | None, str]:
    """Return the dialect and the evidence for it, or None and what was tried.

    ``health`` is the decoded answer of ``/health``; ``ask`` fetches a path and gives its decoded JSON, or raises
    ClientError. Only as many questions are asked as the answers leave open.
    """
    claims = health if isinstance(health, dict) else {}
    tried: list[str] = []

    async def look(path: str) -> Any:
        try:
            return await ask(path)
        except ClientError as error:
            tried.append(f"{path}: {error.reason}")
            return None

    if claims.get("service") == "flexcore-container-real" and isinstance(await look("/api/v1/flexcore/status"), dict):
        return DIALECTS["seed-2025"], "service flexcore-container-real, /api/v1/flexcore/status answers"
    if claims.get("status") == "ok":
        index = await look("/api/v1")
        if isinstance(index, dict) and "endpoints" in index:
            return DIALECTS["gin-2025"], "/health says ok, /api/v1 lists endpoints"
    info = await look("/info")
    if isinstance(info, dict):
        if isinstance(info.get("api_versions"), list):
            return DIALECTS["flexcore-v1"], "/info has api_versions"
        if "cluster" in info and "node_id" in info:
            return DIALECTS["legacy-2025"], "/info has cluster and node_id, and no api_versions"
        tried.append("/info: neither api_versions nor cluster and node_id")
    if isinstance(await look("/api/v1/plugins"), list):
        return DIALECTS["s0-client"], "/api/v1/plugins is a bare array"
    return None, "; ".join(tried) or "no known mark in any answer"
