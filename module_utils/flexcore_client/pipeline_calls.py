"""Pipelines of our own dialect: find them by name, define, activate, run and remove them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .client import FlexCoreClient
from .errors import ClientError, FailureKind, InputError
from .event_calls import EventCalls
from .execution_calls import EXECUTIONS
from .waiter import wait_until

PIPELINES = "/api/v1/flexcore/pipelines"
LOOK_SECONDS = 0.2
ENDS = {"PipelineCompleted": "completed", "PipelineFailed": "failed", "PipelineCancelled": "cancelled"}


class PipelineCalls:
    """What can be done about pipelines; every method raises ClientError."""

    def __init__(self, client: FlexCoreClient) -> None:
        self._client = client

    async def rows(self, status: str | None = None) -> list[dict[str, Any]]:
        """Return all pipelines as the list shows them, the newest first."""
        found = await self._client.pages(PIPELINES, "pipelines", {"status": status} if status else None)
        return [row for row in found if isinstance(row, dict)]

    async def find(self, *, pipeline_id: str | None = None, name: str | None = None) -> dict[str, Any] | None:
        """Return one pipeline in full, by id or by name; raises InputError for a name that several have."""
        if pipeline_id is None:
            ids = [str(row.get("id")) for row in await self.rows() if row.get("name") == name]
            if len(ids) > 1:
                raise InputError(f"{len(ids)} pipelines are called {name!r}: name one by its id: {', '.join(ids)}")
            if not ids:
                return None
            pipeline_id = ids[0]
        return await self._client.find(_path(pipeline_id))

    async def create(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Create a pipeline as a draft, once however often the network makes us ask."""
        return await self._client.change("POST", PIPELINES, definition, key=str(uuid.uuid4()))

    async def activate(self, pipeline_id: str) -> dict[str, Any]:
        """Let a pipeline be run."""
        return await self._client.change("POST", f"{_path(pipeline_id)}/activate", idempotent=True)

    async def remove(self, pipeline_id: str) -> None:
        """Take a pipeline away; its events stay."""
        await self._client.change("DELETE", _path(pipeline_id))

    async def status(self, pipeline_id: str) -> dict[str, Any]:
        """Return the latest run and how far it is."""
        return self._client.checked(await self._client.get(f"{_path(pipeline_id)}/status"))

    async def start(self, pipeline_id: str, parameters: Mapping[str, Any], key: str | None) -> str:
        """Begin a run and return its id; it is begun once for each key."""
        body: dict[str, Any] = {"parameters": dict(parameters)}
        if key:
            body["metadata"] = {"correlation_id": key}
        started = await self._client.change("POST", f"{_path(pipeline_id)}/execute", body, key=key or str(uuid.uuid4()))
        return self._client.text(started, "execution_id")

    async def earlier(self, pipeline_id: str, key: str) -> dict[str, Any] | None:
        """Return ``{execution_id, run_status}`` of the run that was begun with ``key``, None when there is none."""
        events = EventCalls(self._client)
        wanted = {"aggregate_id": pipeline_id, "aggregate_type": "Pipeline"}
        run: str | None = None
        status = "running"
        async for event in events.each(wanted):
            data = event.get("data") or {}
            if event.get("type") == "PipelineStarted" and (event.get("metadata") or {}).get("correlation_id") == key:
                run = str(data.get("execution_id"))
            elif run is not None and data.get("execution_id") == run:
                status = ENDS.get(str(event.get("type")), status)
        return None if run is None else {"execution_id": run, "run_status": status}

    async def ended(self, pipeline_id: str, execution_id: str, seconds: float) -> dict[str, Any]:
        """Wait for the end of a run and return its status; ClientError (timeout) without one after ``seconds``."""

        def over(status: Mapping[str, Any]) -> bool:
            return status.get("execution_id") != execution_id or status.get("run_status") != "running"

        waited = await wait_until(
            lambda: self.status(pipeline_id),
            over,
            timeout=seconds,
            interval=LOOK_SECONDS,
            clock=self._client.clock,
        )
        if waited.satisfied:
            return waited.last
        progress = waited.last.get("progress") or {}
        done = f"{progress.get('steps_done')} of {progress.get('steps_total')} steps done"
        raise ClientError(
            FailureKind.TIMEOUT,
            what=f"Waiting for run {execution_id} at {self._client.url}",
            reason=f"it still runs after {seconds:g} s, {done}",
            next_step="Look at it later by its id, or allow more time (wait_timeout).",
            phase="total",
            facts={"execution_id": execution_id, "status": "running"},
        )

    async def results(self, status: Mapping[str, Any]) -> dict[str, Any]:
        """Return what each step of a run gave, by the step's id; a step that gave nothing is left out."""
        found: dict[str, Any] = {}
        for step in status.get("steps") or ():
            if step.get("status") == "completed" and step.get("execution_id"):
                path = f"{EXECUTIONS}/{quote(str(step['execution_id']), safe='')}"
                execution = await self._client.find(path)
                result = (execution or {}).get("result")
                if isinstance(result, dict):
                    found[str(step.get("id"))] = result.get("data")
        return found


def _path(pipeline_id: str) -> str:
    return f"{PIPELINES}/{quote(pipeline_id, safe='')}"
