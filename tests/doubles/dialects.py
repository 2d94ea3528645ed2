"""The answers of each generation of FlexCore, as routes for an HTTP double."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.doubles.http_double import Reply, Seen

RECORDED = Path(__file__).parent / "recorded"
NODE = "0d37d6d9-3ed3-4684-b96f-e55670b9499d"
TIME = "2026-11-20T11:23:43Z"

Table = dict[str, Any]


def component(status: str = "healthy", message: str = "answers", version: str | None = None) -> dict[str, Any]:
    found = {"status": status, "response_time_ms": 1.5, "last_check": TIME, "message": message}
    return found if version is None else {**found, "version": version}


def flexcore_v1(**changed: dict[str, Any]) -> Table:
    """Our own server; ``changed`` replaces components by name."""
    parts = {
        "postgresql": component(version="15.14"),
        "redis": component(version="7.0.15"),
        "event_store": component(),
        "plugin_runtime": component(),
        "job_queue": component(),
        "disk": component(),
        **changed,
    }
    words = {part["status"] for part in parts.values()}
    status = "unhealthy" if "unhealthy" in words else "degraded" if "degraded" in words else "healthy"
    health = {
        "status": status,
        "service": "flexcore",
        "version": "0.1.0+abc",
        "uptime": 93,
        "timestamp": TIME,
        "node_id": "core1",
    }
    plugins = [v1_plugin(f"plugin-{number:03}") for number in range(120)]

    def page(seen: Seen) -> Reply:
        limit, offset = int(seen.query["limit"]), int(seen.query["offset"])
        return Reply({"plugins": plugins[offset : offset + limit], "total": 120, "limit": limit, "offset": offset})

    def logs(seen: Seen) -> Reply:
        return Reply({"logs": [v1_log(n) for n in range(1, 1 + int(seen.query["lines"]))], "next_cursor": "x"})

    problem = {"type": "https://flexcore.flext.sh/problems/not-found", "title": "Not found", "status": 404}
    return {
        "/health": lambda seen: Reply(
            {**health, "components": parts} if seen.query.get("detail") == "true" else health,
            503 if status == "unhealthy" else 200,
        ),
        "/info": Reply({"service": "flexcore", "version": "0.1.0+abc", "node_id": "core1", "api_versions": ["v1"]}),
        "/api/v1/flexcore/plugins": page,
        "/api/v1/flexcore/plugins/plugin-007": Reply(v1_plugin("plugin-007")),
        "/api/v1/flexcore/plugins/nope": Reply({**problem, "detail": "there is no plugin nope"}, 404),
        "/api/v1/flexcore/logs": logs,
        "/api/v1/plugins": Reply([{"name": "plugin-000", "version": "1.0.0", "status": "active"}]),
    }


def v1_plugin(plugin_id: str) -> dict[str, Any]:
    return {
        "id": plugin_id,
        "name": plugin_id.title(),
        "version": "1.0.0",
        "type": "processor",
        "status": "active",
        "description": "does something",
        "dependencies": [],
        "entry_point": "run",
        "capabilities": ["transform"],
        "health_status": "healthy",
        "execution_count": 12,
    }


def v1_log(number: int) -> dict[str, Any]:
    return {
        "timestamp": f"2026-11-20T11:23:{number % 60:02}.123456Z",
        "level": ("info", "error")[number % 2],
        "component": "postgres",
        "message": f"record {number}",
        "correlation_id": None,
        "node_id": "core1",
        "fields": {"attempt": number},
    }


def recorded(name: str) -> Table:
    """The answers of a real upstream build."""
    entries = json.loads((RECORDED / f"{name}.json").read_text())
    return {entry["path"].partition("?")[0]: Reply(entry["body"], entry["status"]) for entry in entries}


def seed_2025() -> Table:
    return recorded("seed-2025")


def gin_2025_first_build() -> Table:
    return recorded("gin-2025")


def gin_2025(bus: Reply | None = None) -> Table:
    """A later build, with plugins and the one route that reflects Redis."""
    plugin = {
        "plugin_id": "tap-1",
        "name": "Tap",
        "type": "source",
        "version": "0.2",
        "description": "reads",
        "author": "somebody",
        "capabilities": ["extract"],
        "dependencies": None,
        "created_at": TIME,
        "updated_at": TIME,
    }
    return {
        **recorded("gin-2025"),
        "/api/v1/plugins/list": Reply({"success": True, "plugins": [plugin], "count": 1, "node_id": NODE}),
        "/api/v1/plugins/communication/status": bus or Reply({"success": True, "status": "connected"}),
    }


def legacy_2025() -> Table:
    return {
        "/health": Reply(
            {"status": "healthy", "timestamp": 1753700000, "version": "dev", "build_time": "unknown", "commit": "abc"}
        ),
        "/info": Reply({"service": "flexcore", "cluster": "dev", "node_id": NODE, "version": "dev"}),
        "/plugins": Reply({"plugins": [{"id": "p1", "name": "P1", "version": "1"}], "count": 1}),
    }


def s0_client() -> Table:
    """What the client guide reads."""
    return {
        "/health": Reply({"status": "healthy", "version": "2.0.0", "uptime": "5m30s"}),
        "/api/v1/plugins": Reply([{"name": "p1", "version": "1.0", "status": "active", "entry_point": "p1:main"}]),
        "/api/v1/logs": lambda seen: Reply({"logs": [f"line {n}" for n in range(int(seen.query["lines"]))]}),
    }
