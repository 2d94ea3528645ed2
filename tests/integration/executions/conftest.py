"""Two nodes on one PostgreSQL and one Redis."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.integration.server.conftest import environ
from tests.integration.server.contract import Contract
from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import wait_until

__all__ = ["environ"]

EXECUTIONS = "/api/v1/flexcore/executions"
EXECUTE = "/api/v1/flexcore/plugins/simple-processor/execute"
EVENTS = "/api/v1/flexcore/events"
ENDS = ("PluginExecutionCompleted", "PluginExecutionFailed")


class RunningNode:
    """One server process, and what a client asks of it; every answer is held against the OpenAPI document."""

    def __init__(self, process: FlexCoreProcess, node_id: str, api: httpx.Client) -> None:
        self.process = process
        self.node_id = node_id
        self.api = api

    def queue(self, operation: str, *, timeout: float = 60, key: str | None = None, **data: Any) -> str:
        """Begin an asynchronous execution and return its id."""
        answer = self.execute(operation, timeout=timeout, key=key, asynchronous=True, **data)
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "queued"
        execution_id: str = answer.json()["execution_id"]
        assert answer.headers["location"] == f"{EXECUTIONS}/{execution_id}"
        return execution_id

    def execute(
        self, operation: str, *, timeout: float = 60, key: str | None = None, asynchronous: bool = False, **data: Any
    ) -> httpx.Response:
        """Ask for an execution."""
        return self.api.post(
            EXECUTE,
            params={"async": "true"} if asynchronous else {},
            headers={} if key is None else {"idempotency-key": key},
            json={"operation": operation, "parameters": {"timeout_seconds": timeout, "data": data}},
            timeout=60,
        )

    def get(self, execution_id: str) -> dict[str, Any]:
        """Look at an execution."""
        answer = self.api.get(f"{EXECUTIONS}/{execution_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def cancel(self, execution_id: str) -> httpx.Response:
        """Cancel an execution."""
        return self.api.post(f"{EXECUTIONS}/{execution_id}/cancel")

    def wait_for(self, execution_id: str, *statuses: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until an execution stands so, and return it."""
        wait_until(lambda: self.get(execution_id)["status"] in statuses, seconds, f"execution being {statuses}")
        return self.get(execution_id)

    def events(self, execution_id: str) -> list[dict[str, Any]]:
        """The events of one execution, oldest first."""
        found = self.api.get(EVENTS, params={"aggregate_type": "Plugin", "limit": 1000}).json()["events"]
        return [event for event in found if event["data"].get("execution_id") == execution_id]

    def ends(self, execution_id: str) -> list[str]:
        """The types of an execution's ends: one, or the test has found what must not be."""
        return [event["type"] for event in self.events(execution_id) if event["type"] in ENDS]

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.signal(number)


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Callable[..., RunningNode]]:
    """Start a node; all are killed after the test."""
    with ExitStack() as stack:

        def start(node_id: str, **variables: str) -> RunningNode:
            process = stack.enter_context(running(environ | {"FLEXCORE_NODE_ID": node_id, **variables}))
            plain = stack.enter_context(process.client())
            contract = Contract(plain.get("/openapi.json").json())

            def check(response: httpx.Response) -> None:
                response.read()
                contract.check(response)

            api = stack.enter_context(process.client())
            api.event_hooks = {"response": [check]}
            return RunningNode(process, node_id, api)

        yield start


@pytest.fixture
def nodes(start: Callable[..., RunningNode]) -> dict[str, RunningNode]:
    """Two nodes by their ids."""
    return {node_id: start(node_id) for node_id in ("core1", "core2")}
