"""Executions of plugins: begin one once for each key, wait for its end, and tell how it ended."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .client import FlexCoreClient
from .errors import ClientError, FailureKind
from .plugin_calls import plugin_path
from .waiter import wait_until

EXECUTIONS = "/api/v1/flexcore/executions"
UNDER_WAY = ("queued", "running")
PAGE = "200"
# So many executions of one plugin are looked through for an earlier one with the same key: 20,000.
MOST_PAGES = 100
LOOK_SECONDS = 0.2
# The server ends an execution at its own limit; its word on that takes a moment.
GRACE_SECONDS = 10.0


class ExecutionCalls:
    """What can be done about executions; every method raises ClientError."""

    def __init__(self, client: FlexCoreClient) -> None:
        self._client = client

    async def earlier(self, plugin_id: str, key: str) -> dict[str, Any] | None:
        """Return the execution of the plugin that was begun with ``key``, None when there is none."""
        cursor = None
        for _ in range(MOST_PAGES):
            asked = {"plugin_id": plugin_id, "limit": PAGE, **({"cursor": cursor} if cursor else {})}
            page = await self._client.get(EXECUTIONS, asked)
            for item in self._client.items(page, "executions"):
                if isinstance(item, dict) and item.get("correlation_id") == key:
                    return item
            cursor = page.get("next_cursor") if isinstance(page, dict) and page.get("has_more") else None
            if not cursor:
                break
        return None

    async def begin(self, plugin_id: str, body: Mapping[str, Any], key: str | None) -> str:
        """Queue an execution and return its id; it is begun once, however often the network makes us ask."""
        document = {**body, "metadata": {"correlation_id": key}} if key else dict(body)
        queued = await self._client.change(
            "POST",
            f"{plugin_path(plugin_id)}/execute",
            document,
            params={"async": "true"},
            key=key or str(uuid.uuid4()),
        )
        return self._client.text(queued, "execution_id")

    async def get(self, execution_id: str) -> dict[str, Any]:
        """Return one execution, with its result when it has ended."""
        return self._client.checked(await self._client.get(f"{EXECUTIONS}/{quote(execution_id, safe='')}"))

    async def ended(self, execution_id: str, seconds: float) -> dict[str, Any]:
        """Wait for the end of an execution and return it; ClientError (timeout) without one after ``seconds``."""
        waited = await wait_until(
            lambda: self.get(execution_id),
            lambda execution: execution.get("status") not in UNDER_WAY,
            timeout=seconds,
            interval=LOOK_SECONDS,
            clock=self._client.clock,
        )
        if waited.satisfied:
            return waited.last
        raise ClientError(
            FailureKind.TIMEOUT,
            what=f"Waiting for execution {execution_id} at {self._client.url}",
            reason=f"it is still {waited.last.get('status')} after {seconds:g} s",
            next_step="Look at it later by its id, or allow more time (wait_timeout).",
            phase="total",
            facts={"execution_id": execution_id, "status": waited.last.get("status")},
        )

    async def call_elsewhere(self, plugin_id: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Execute to the end on a server of another dialect, and return what it says in the form of ours."""
        dialect = await self._client.dialect()
        if dialect.execute is None:
            raise self._client.unsupported(f"this server ({dialect.name}) does not offer executions of plugins")
        data = body["parameters"]["data"]
        document = data
        if dialect.names_operation:
            document = {"plugin_id": plugin_id, "operation": body["operation"] or "", "params": data}
        path = dialect.execute.format(id=quote(plugin_id, safe=""))
        said = await self._client.post_any(path, document, seconds)
        success = said.get("success", True) if isinstance(said, dict) else True
        return {
            "execution_id": None,
            "status": "completed",
            "success": bool(success),
            "result": {"success": bool(success), "data": said},
            "error": None,
        }


def failure_of(execution: Mapping[str, Any]) -> str | None:
    """Return why an execution that ended is no success, None when it is one."""
    if execution.get("status") != "completed":
        return f"it ended as {execution.get('status')}: {execution.get('error') or 'no reason given'}"
    if execution.get("success") is False:
        return f"the plugin says that it did not succeed: {execution.get('error') or 'see result'}"
    return None
