"""The routes that tell how the node is are answered from memory: no request for them waits for anything."""

from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from flexcore.application.audit import AuditRecord, StampedRecord
from flexcore.application.health import HealthMonitor
from flexcore.application.ports import ProbeResult
from flexcore.infrastructure.telemetry.metrics import Metrics
from flexcore.presentation.http.access import EverybodyIsAdministrator
from flexcore.presentation.http.app import build_app, operation_table
from flexcore.presentation.http.node import Node
from flexcore.presentation.http.routes.health import HealthRoutes


class HungProbe:
    """A probe that never comes back, and here is never asked."""

    name = "postgresql"

    async def check(self) -> ProbeResult:
        raise AssertionError("a request asked the probe")


class UnusedAudit:
    def record(self, record: AuditRecord) -> None:
        raise AssertionError("a health route left an audit record")

    async def commit(self, record: AuditRecord) -> None:
        raise AssertionError("a health route left an audit record")

    def stamp(self, record: AuditRecord) -> StampedRecord:
        raise AssertionError("a health route left an audit record")


@pytest.fixture
def node_app() -> ASGIApp:
    metrics = Metrics(version="1.0", node_id="core1")
    monitor = HealthMonitor((HungProbe(),), vital=frozenset({"postgresql"}), needed=frozenset({"postgresql"}))
    metrics.watch_dependencies(lambda: dict.fromkeys(monitor.snapshot().components, False))
    routes = HealthRoutes(monitor, Node("core1", "1.0", "production")).operations()
    table = operation_table(routes, version="1.0", metrics=metrics.render)
    return build_app(
        table,
        access=EverybodyIsAdministrator(),
        audit=UnusedAudit(),
        max_body_bytes=1000,
        metrics=metrics,
        new_id=lambda: "c-1",
    )


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/health", b"", 503),
        ("/health", b"detail=true", 503),
        ("/health/live", b"", 200),
        ("/health/ready", b"", 503),
        ("/metrics", b"", 200),
    ],
)
def test_the_answer_takes_a_single_step(node_app: ASGIApp, path: str, query: bytes, status: int) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the request has no body to wait for")

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": [],
        "client": ("127.0.0.1", 1),
    }
    # Without an event loop: whatever waited for anything would stop here instead of ending.
    with pytest.raises(StopIteration):
        node_app(scope, receive, send).send(None)
    assert sent[0]["status"] == status
    assert sent[-1]["type"] == "http.response.body"
