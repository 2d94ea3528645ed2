"""Bring a pipeline to the state that is declared, run one once, and read what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .change import Change
from .client import FlexCoreClient
from .errors import ClientError, FailureKind, InputError
from .keys import check_key
from .pipeline_calls import PipelineCalls
from .pipeline_goal import DRAFT, RUNNING, PipelineGoal

OFFER = "pipelines"


async def bring_about(client: FlexCoreClient, declared: Mapping[str, Any], *, dry: bool) -> dict[str, Any]:
    """Do what is to be done, nothing when ``dry``, and return the result; raises ClientError and InputError."""
    await client.require(OFFER)
    goal, calls = PipelineGoal(**declared), PipelineCalls(client)
    found = await calls.find(name=goal.name)
    plan = goal.plan(found)
    if plan.change.needed and not dry:
        pipeline_id = str(found["id"]) if found else ""
        if plan.removes:
            await calls.remove(pipeline_id)
        if plan.creates:
            found = await calls.create(goal.body)
            pipeline_id = client.text(found, "id")
        if plan.activates:
            found = await calls.activate(pipeline_id)
    gone = plan.removes and not plan.creates
    return plan.change.result(pipeline={} if gone or found is None or (dry and plan.creates) else found)


async def read_pipelines(
    client: FlexCoreClient, pipeline_id: str | None, name: str | None, status: str | None
) -> list[dict[str, Any]]:
    """Return all pipelines, or one in full with its latest run; raises ClientError and InputError."""
    await client.require(OFFER)
    calls = PipelineCalls(client)
    if pipeline_id is None and name is None:
        return await calls.rows(status)
    found = await calls.find(pipeline_id=pipeline_id, name=name)
    if found is None or status not in (None, found.get("status")):
        return []
    return [{**found, "run": await calls.status(client.text(found, "id"))}]


async def run_pipeline(
    client: FlexCoreClient,
    *,
    pipeline_id: str | None,
    name: str | None,
    parameters: Mapping[str, Any],
    key: str | None,
    wait_seconds: float | None,
    dry: bool,
) -> dict[str, Any]:
    """Run a pipeline, not when ``dry`` or run before under its key; raises ClientError and InputError."""
    check_key(key)
    await client.require(OFFER)
    calls = PipelineCalls(client)
    found = await calls.find(pipeline_id=pipeline_id, name=name)
    if found is None:
        raise InputError(f"there is no pipeline {name or pipeline_id!r}: create it first")
    known = client.text(found, "id")
    earlier = await calls.earlier(known, key) if key else None
    about = {"pipeline": found.get("name")}
    change = Change({**about, "run": earlier is not None}, {**about, "run": True})
    if earlier is None:
        _must_be_ready(client, found)
        if dry:
            return change.result(run={}, results={}, repeated=False)
    execution_id = earlier["execution_id"] if earlier else await calls.start(known, parameters, key)
    run, results = await _seen(calls, known, execution_id, earlier, None if dry else wait_seconds)
    if run["run_status"] in ("failed", "cancelled"):
        raise _failed(client, found, run, results)
    return change.result(run=run, results=results, repeated=earlier is not None)


async def _seen(
    calls: PipelineCalls, pipeline_id: str, execution_id: str, earlier: Mapping[str, Any] | None, wait: float | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the run and its results as far as they can be seen: the server shows the latest run only in full."""
    status = await (calls.status(pipeline_id) if wait is None else calls.ended(pipeline_id, execution_id, wait))
    if status.get("execution_id") != execution_id:
        known = dict(earlier) if earlier else {"execution_id": execution_id, "run_status": "unknown"}
        return known, {}
    ended = status.get("run_status") != RUNNING
    return status, await calls.results(status) if ended else {}


def _must_be_ready(client: FlexCoreClient, pipeline: Mapping[str, Any]) -> None:
    """Refuse what the server would refuse, so that check mode says so too."""
    reasons = {DRAFT: "it is a draft", RUNNING: f"it is running already, as {pipeline.get('last_execution_id')}"}
    reason = reasons.get(str(pipeline.get("status")))
    if reason:
        raise ClientError(
            FailureKind.API_ERROR,
            what=f"Running pipeline {pipeline.get('name')!r} at {client.url}",
            reason=reason,
            next_step="Activate it (flexcore_pipeline), or wait for the end of its run.",
            http_status=409,
        )


def _failed(
    client: FlexCoreClient, pipeline: Mapping[str, Any], run: Mapping[str, Any], results: Mapping[str, Any]
) -> ClientError:
    ill = [step for step in run.get("steps") or () if step.get("status") == "failed"]
    causes = "; ".join(f"step {step.get('id')}: {step.get('error') or step.get('reason')}" for step in ill)
    return ClientError(
        FailureKind.API_ERROR,
        what=f"Running pipeline {pipeline.get('name')!r} at {client.url}",
        reason=f"run {run['execution_id']} {run['run_status']}" + (f": {causes}" if causes else ""),
        next_step="Read the log of the plugin whose step failed.",
        facts={"run": dict(run), "results": dict(results)},
    )
