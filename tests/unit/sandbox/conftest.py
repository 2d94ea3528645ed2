"""Executions against a supervisor whose children are threads."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flexcore.application.audit import AuditRecord
from flexcore.application.events import Events
from flexcore.application.ports import PluginCode, PluginRequest
from flexcore.domain.manifest import Limits, Permissions, PluginCommand, PluginManifest
from flexcore.infrastructure.sandbox.broker import NetworkBroker
from flexcore.infrastructure.sandbox.control import Control
from flexcore.infrastructure.sandbox.emitter import EventEmitter
from flexcore.infrastructure.sandbox.execution import Services
from flexcore.infrastructure.sandbox.runner import SandboxRunner
from flexcore.infrastructure.sandbox.secrets import PluginSecrets
from tests.doubles.sandbox_double import SandboxDouble
from tests.unit.application.doubles import Log


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


class Trail:
    """Audit that keeps its records."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, record: AuditRecord) -> None:
        self.records.append(record)

    async def commit(self, record: AuditRecord) -> None:
        self.records.append(record)


def code(permissions: Permissions = Permissions(), limits: Limits = Limits(output_mb=1)) -> PluginCode:  # noqa: B008
    manifest = PluginManifest(
        id="greeter",
        name="Greeter",
        version="1.0",
        type="processor",
        description="",
        commands=(PluginCommand("greet", ""),),
        entry_point="greeter:Greeter",
        permissions=permissions,
        limits=limits,
    )
    return PluginCode(manifest, "d" * 64, Path("/plugins/greeter"), (Path("/more"),))


def request(operation: str, plugin: PluginCode | None = None, **changes: Any) -> PluginRequest:
    values = {"execution_id": "e-1", "data": {}, "timeout_seconds": 20.0, "correlation_id": "c-1"} | changes
    return PluginRequest(code=plugin or code(), operation=operation, **values)


class Node:
    """A runner and all around it."""

    def __init__(self, sandbox: SandboxDouble, credentials: Path) -> None:
        self.sandbox = sandbox
        self.log = Log()
        self.trail = Trail()
        self.control = Control(sandbox.connect)
        self.credentials = credentials
        self.granted: dict[str, tuple[str, ...]] = {"greeter": ()}
        numbers = iter(range(1000))
        events = Events(self.log, lambda: f"event-{next(numbers)}")
        services = Services(NetworkBroker(), EventEmitter(events, "node1"), self.trail)
        self.runner = SandboxRunner(
            self.control, services, PluginSecrets(credentials), configuration={"greeter": {"tone": "warm"}}
        )

    def start(self, operation: str, plugin: PluginCode | None = None, **changes: Any) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.runner.run(request(operation, plugin, **changes)))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    with SandboxDouble() as sandbox:
        node = Node(sandbox, tmp_path)
        node.control.open()
        await node.control.connected(10)
        yield node
        await node.control.close()
