"""A FlexCore of our own dialect in memory, as far as the modules go: what is written can be read back.

The routes and the form of the answers are those of the contract; what the real server does beyond is for the
integration tests.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from tests.doubles import dialects
from tests.doubles.http_double import NOT_FOUND, Reply, Seen

API = "/api/v1/flexcore"
TIME = dialects.TIME
Handler = Callable[..., Reply]


def problem(status: int, detail: str) -> Reply:
    return Reply(
        {"type": "https://flexcore.flext.sh/problems/x", "title": "X", "status": status, "detail": detail}, status
    )


class FlexCoreDouble:
    """Serve it with ``http_double.serving``."""

    def __init__(self) -> None:
        self.plugins: dict[str, dict[str, Any]] = {
            "simple-processor": self.plugin("simple-processor", "1.0.0"),
            "sleeper": self.plugin("sleeper", "1.0.0", "inactive"),
        }
        self.marketplace = {"greeter": ["1.3.0", "1.2.0", "1.0.0", "2.0.0rc1"], "sleeper": ["1.1.0", "1.0.0"]}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.executions: list[dict[str, Any]] = []
        self.nodes = {name: self.node(name) for name in ("core1", "core2")}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.outcome: dict[str, Any] = {"status": "completed", "success": True, "data": {"done": True}, "error": None}
        self._by_key: dict[str, str] = {}
        self._static = dialects.flexcore_v1()
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []
        self._add_plugins()
        self._add_pipelines()
        self._add_events()
        self._add_cluster()
        self._add_tokens()

    # What http_double asks for.

    def get(self, name: str, default: Reply = NOT_FOUND) -> Any:
        method, _, path = name.rpartition(" ")
        for route_method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match and route_method == (method or "GET"):
                return lambda seen: handler(seen, *match.groups())
        return self._static.get(name, default) if not path.startswith(f"{API}/plugins") else default

    def _on(self, method: str, path: str, handler: Handler) -> None:
        self._routes.append((method, re.compile(API + path), handler))

    # Plugins and executions.

    @staticmethod
    def plugin(plugin_id: str, version: str, status: str = "active") -> dict[str, Any]:
        return {**dialects.v1_plugin(plugin_id), "version": version, "status": status}

    def _add_plugins(self) -> None:
        self._on("GET", "/plugins", lambda seen: page(seen, "plugins", list(self.plugins.values())))
        self._on("POST", "/plugins", self._install)
        self._on("GET", "/plugins/([^/]+)", lambda seen, name: self._found(name, Reply))
        self._on("PUT", "/plugins/([^/]+)", self._upgrade)
        self._on("DELETE", "/plugins/([^/]+)", lambda seen, name: self._found(name, lambda _: self._removed(name)))
        self._on("POST", "/plugins/([^/]+)/enable", lambda seen, name: self._switched(name, "active"))
        self._on("POST", "/plugins/([^/]+)/disable", lambda seen, name: self._switched(name, "inactive"))
        self._on("POST", "/plugins/([^/]+)/execute", self._execute)
        self._on("GET", "/marketplace", self._market)
        self._on("GET", "/executions", self._list_executions)
        self._on("GET", "/executions/([^/]+)", self._execution)

    def _found(self, name: str, then: Callable[[Any], Reply]) -> Reply:
        return then(self.plugins[name]) if name in self.plugins else problem(404, f"there is no plugin {name}")

    def _source(self, seen: Seen) -> tuple[str, str]:
        if seen.headers["content-type"].startswith("multipart/form-data"):
            # A package that a test made: its manifest stands in it uncompressed.
            named = dict(re.findall(rb'\b(id|version) = "([^"]+)"', seen.body))
            return named[b"id"].decode(), named[b"version"].decode()
        return seen.json["id"], seen.json["version"]

    def _install(self, seen: Seen) -> Reply:
        plugin_id, version = self._source(seen)
        if plugin_id in self.plugins:
            return problem(409, f"plugin {plugin_id} is installed")
        self.plugins[plugin_id] = self.plugin(plugin_id, version)
        return Reply(self.plugins[plugin_id], 201)

    def _upgrade(self, seen: Seen, name: str) -> Reply:
        self.plugins[name] = {**self.plugins[name], "version": self._source(seen)[1]}
        return Reply(self.plugins[name])

    def _removed(self, name: str) -> Reply:
        del self.plugins[name]
        return Reply("", 204)

    def _switched(self, name: str, status: str) -> Reply:
        self.plugins[name] = {**self.plugins[name], "status": status}
        return Reply(self.plugins[name])

    def _market(self, seen: Seen) -> Reply:
        wanted = seen.query["query"]
        found = [
            {"id": name, "name": name, "versions": [{"version": version, "dependencies": {}} for version in versions]}
            for name, versions in self.marketplace.items()
            if wanted in name
        ]
        return page(seen, "plugins", found)

    def _execute(self, seen: Seen, name: str) -> Reply:
        if name not in self.plugins:
            return problem(404, f"there is no such plugin as {name}")
        if self.plugins[name]["status"] != "active":
            return problem(409, f"plugin {name} cannot be executed: its status is inactive")
        body, key = seen.json, seen.headers.get("idempotency-key", str(uuid.uuid4()))
        if seen.query.get("async") != "true":
            return Reply({"execution_id": "x", "status": "completed", "result": {"success": True, "data": {}}})
        if key not in self._by_key:
            self._by_key[key] = str(uuid.uuid4())
            result = {"success": self.outcome["success"], "data": self.outcome["data"]}
            ended = self.outcome["status"] == "completed"
            self.executions.append(
                {
                    "execution_id": self._by_key[key],
                    "plugin_id": name,
                    "operation": body["operation"],
                    "status": self.outcome["status"],
                    "success": self.outcome["success"] if ended else None,
                    "correlation_id": body.get("metadata", {}).get("correlation_id"),
                    "error": self.outcome["error"],
                    "result": result if ended else None,
                }
            )
        return Reply({"execution_id": self._by_key[key], "status": "queued"}, 202)

    def _list_executions(self, seen: Seen) -> Reply:
        start = int(seen.query.get("cursor", "0"))
        newest = [one for one in reversed(self.executions) if one["plugin_id"] == seen.query["plugin_id"]]
        # Two a page, however many are asked for: a client has to follow the cursor.
        shown, more = newest[start : start + 2], len(newest) > start + 2
        return Reply({"executions": shown, "next_cursor": str(start + 2) if more else None, "has_more": more})

    def _execution(self, seen: Seen, execution_id: str) -> Reply:
        found = [one for one in self.executions if one["execution_id"] == execution_id]
        return Reply(found[0]) if found else problem(404, f"there is no execution {execution_id}")

    # Pipelines.

    def _add_pipelines(self) -> None:
        self._on("GET", "/pipelines", lambda seen: page(seen, "pipelines", self._rows(seen)))
        self._on("POST", "/pipelines", self._create)
        self._on("GET", "/pipelines/([^/]+)", lambda seen, name: self._pipeline(name, Reply))
        self._on("DELETE", "/pipelines/([^/]+)", self._delete)
        self._on("POST", "/pipelines/([^/]+)/activate", self._activate)
        self._on("POST", "/pipelines/([^/]+)/execute", self._start)
        self._on("GET", "/pipelines/([^/]+)/status", self._status)

    def _rows(self, seen: Seen) -> list[dict[str, Any]]:
        wanted = seen.query.get("status")
        return [row for row in reversed(self.pipelines.values()) if wanted in (None, row["status"])]

    def _pipeline(self, name: str, then: Callable[[Any], Reply]) -> Reply:
        return then(self.pipelines[name]) if name in self.pipelines else problem(404, f"there is no pipeline {name}")

    def _create(self, seen: Seen) -> Reply:
        pipeline_id = str(uuid.uuid4())
        steps = [
            {
                "id": step["id"],
                "plugin": step["plugin"],
                "operation": step.get("operation", "default"),
                "name": step.get("name") or step["id"],
                "type": "processor",
                "status": "pending",
                "parameters": step.get("parameters", {}),
                "depends_on": step.get("depends_on", []),
                "timeout_seconds": step.get("timeout_seconds", 30.0),
                "on_failure": step.get("on_failure", "fail"),
                "retry": {
                    "max_attempts": 3,
                    "initial_backoff_ms": 1000,
                    "max_backoff_ms": 60000,
                    "multiplier": 2.0,
                    "jitter": 0.2,
                    **step.get("retry", {}),
                },
            }
            for step in seen.json["steps"]
        ]
        if any(None in part.values() for step in seen.json["steps"] for part in (step, step.get("retry", {}))):
            return problem(400, "The body is not valid: expected int, got null")
        self.pipelines[pipeline_id] = {**seen.json, "id": pipeline_id, "status": "draft", "steps": steps, "runs": 0}
        return Reply(self.pipelines[pipeline_id], 201)

    def _delete(self, seen: Seen, name: str) -> Reply:
        del self.pipelines[name]
        return Reply("", 204)

    def _activate(self, seen: Seen, name: str) -> Reply:
        self.pipelines[name]["status"] = "active"
        return Reply(self.pipelines[name])

    def _start(self, seen: Seen, name: str) -> Reply:
        run, key = str(uuid.uuid4()), seen.json.get("metadata", {}).get("correlation_id")
        ends = {"completed": "PipelineCompleted", "failed": "PipelineFailed", "cancelled": "PipelineCancelled"}
        self._record("PipelineStarted", "Pipeline", name, {"execution_id": run}, {"correlation_id": key})
        if self.outcome["status"] in ends:
            self._record(ends[self.outcome["status"]], "Pipeline", name, {"execution_id": run}, {})
        self.pipelines[name] |= {"status": self.outcome["status"], "last_execution_id": run}
        step = self.pipelines[name]["steps"][0]
        self.executions.append(
            {"execution_id": f"step-of-{run}", "plugin_id": step["plugin"], "result": {"data": self.outcome["data"]}}
        )
        answer = {"execution_id": run, "pipeline_id": name, "status": "started", "started_at": TIME}
        return Reply({**answer, "estimated_duration_seconds": None}, 202)

    def _status(self, seen: Seen, name: str) -> Reply:
        if name not in self.pipelines:
            return problem(404, f"there is no pipeline {name}")
        pipeline = self.pipelines[name]
        run = pipeline.get("last_execution_id")
        status = pipeline["status"] if run else None
        steps = [
            {
                "id": pipeline["steps"][0]["id"],
                "status": status,
                "execution_id": f"step-of-{run}",
                "error": self.outcome["error"],
            }
        ]
        return Reply(
            {
                "id": name,
                "name": pipeline["name"],
                "status": pipeline["status"],
                "execution_id": run,
                "run_status": status,
                "progress": {"steps_done": 1, "steps_total": 1, "percent": 100.0},
                "steps": steps if run else [],
            }
        )

    # Events.

    def _add_events(self) -> None:
        self._on("GET", "/events", self._list_events)
        self._on("POST", "/events", self._append)
        self._on("GET", "/events/verify", self._verify)

    def _record(
        self, kind: str, aggregate_type: str, aggregate_id: str, data: dict[str, Any], metadata: dict[str, Any]
    ) -> dict[str, Any]:
        mine = [
            one for one in self.events if (one["aggregate_type"], one["aggregate_id"]) == (aggregate_type, aggregate_id)
        ]
        event = {
            "id": str(uuid.uuid4()),
            "position": len(self.events) + 1,
            "type": kind,
            "aggregate_id": aggregate_id,
            "aggregate_type": aggregate_type,
            "version": len(mine) + 1,
            "data": data,
            "metadata": metadata,
            "timestamp": TIME,
            "hash": "0" * 64,
        }
        self.events.append(event)
        return event

    def _append(self, seen: Seen) -> Reply:
        body = seen.json
        metadata = {**body.get("metadata", {}), "correlation_id": seen.headers.get("x-correlation-id")}
        event = self._record(body["type"], body["aggregate_type"], body["aggregate_id"], body.get("data", {}), metadata)
        return Reply({name: event[name] for name in ("id", "position", "version")}, 201)

    def _list_events(self, seen: Seen) -> Reply:
        start, limit = int(seen.query.get("cursor", "0")), int(seen.query["limit"])
        fields = {"aggregate_id": "aggregate_id", "aggregate_type": "aggregate_type", "event_type": "type"}
        found = [
            event
            for event in self.events
            if all(seen.query.get(name) in (None, event[own]) for name, own in fields.items())
        ]
        step = min(limit, 2)
        more = len(found) > start + step
        cursor = str(start + step) if more else None
        return Reply({"events": found[start : start + step], "next_cursor": cursor, "has_more": more})

    def _verify(self, seen: Seen) -> Reply:
        bad = next((event["position"] for event in self.events if event["hash"] != "0" * 64), None)
        reason = None if bad is None else "its hash is not that of its content"
        found = {"verified": bad is None, "checked": len(self.events), "checkpoints": 0}
        return Reply({**found, "first_bad_position": bad, "reason": reason})

    # The cluster.

    @staticmethod
    def node(node_id: str, status: str = "active") -> dict[str, Any]:
        return {
            "node_id": node_id,
            "address": f"http://{node_id}:8080",
            "version": "0.1.0+abc",
            "status": status,
            "last_heartbeat": TIME,
            "active_executions": 0,
        }

    def _add_cluster(self) -> None:
        nodes = lambda: list(self.nodes.values())  # noqa: E731, twice the same
        self._on("GET", "/cluster/nodes", lambda seen: page(seen, "nodes", nodes()))
        self._on("GET", "/cluster/status", lambda seen: Reply({"cluster": "lab", "leader": "core1", "nodes": nodes()}))
        self._on("POST", "/cluster/nodes/([^/]+)/drain", lambda seen, name: self._ordered(name, "drained"))
        self._on("POST", "/cluster/nodes/([^/]+)/resume", lambda seen, name: self._ordered(name, "active"))
        services = [
            {"service_name": "flext-auth", "url": "http://127.0.0.1:8082", "status": "healthy", "details": {}},
            {"service_name": "flext-web", "url": "http://127.0.0.1:8083", "status": "unhealthy", "details": {}},
        ]
        self._on("GET", "/services", lambda seen: Reply({"services": services}))
        self._on(
            "GET",
            "/services/([^/]+)",
            lambda seen, name: next(
                (Reply(one) for one in services if one["service_name"] == name), problem(404, "no such service")
            ),
        )
        self._on("GET", "/status", lambda seen: Reply({"status": "unhealthy", "metrics": {}}, 503))
        self._on("GET", "/runtime/status", lambda seen: Reply({"slots": {"total": 8, "busy": 0, "free": 8}}))
        self._on("GET", "/runtime/metrics", lambda seen: Reply({"metrics": [{"name": "a", "value": 1}]}))
        self._on("GET", "/runtime/config", lambda seen: Reply({"settings": [{"name": "http.port", "value": 8080}]}))

    # Access.

    @staticmethod
    def token(name: str, role: str = "viewer", owner: str = "admin", **more: Any) -> dict[str, Any]:
        about = {"name": name, "owner": owner, "role": role, "created_at": TIME, "expires_at": None}
        return {"id": f"id-of-{owner}-{name}", **about, "last_used": None, **more}

    def _add_tokens(self) -> None:
        self._on("GET", "/tokens", lambda seen: page(seen, "tokens", list(self.tokens.values())))
        self._on("POST", "/tokens", self._make_token)
        self._on("DELETE", "/tokens/([^/]+)", self._revoke)
        self._static["/auth/me"] = Reply({"name": "admin", "role": "admin", "kind": "user"})
        self._static["POST /auth/login"] = Reply(
            {"access_token": "canary-token-of-a-login", "token_type": "bearer", "expires_in": 600}
        )

    def _make_token(self, seen: Seen) -> Reply:
        made = self.token(**seen.json)
        self.tokens[made["id"]] = made
        return Reply({**made, "token": f"canary-secret-{uuid.uuid4()}"}, 201)

    def _revoke(self, seen: Seen, token_id: str) -> Reply:
        if token_id not in self.tokens:
            return problem(404, "there is no such token")
        del self.tokens[token_id]
        return Reply("", 204)

    def _ordered(self, name: str, status: str) -> Reply:
        self.nodes[name] = {**self.nodes[name], "status": status}
        return Reply(self.nodes[name])


def page(seen: Seen, name: str, items: list[Any]) -> Reply:
    limit, offset = int(seen.query["limit"]), int(seen.query["offset"])
    return Reply({name: items[offset : offset + limit], "total": len(items), "limit": limit, "offset": offset})
