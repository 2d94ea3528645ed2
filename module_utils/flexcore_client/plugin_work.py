"""Bring a plugin to the state that is wanted."""

from __future__ import annotations

from typing import Any

from .client import FlexCoreClient
from .errors import ClientError, FailureKind, InputError
from .package_file import read_manifest, upload
from .plugin_calls import PluginCalls, Source
from .plugin_goal import ON, PluginGoal, PluginPlan
from .waiter import wait_until

LOOK_SECONDS = 0.5


async def bring_about(
    client: FlexCoreClient,
    *,
    plugin_id: str | None,
    state: str,
    version: str | None,
    src: str | None,
    cascade: bool,
    wait_seconds: float | None,
    dry: bool,
) -> dict[str, Any]:
    """Do what is to be done, nothing when ``dry``, and return the result; raises ClientError and InputError."""
    manifest = read_manifest(src) if src and state != "absent" else None
    if manifest is not None and plugin_id not in (None, manifest["id"]):
        raise InputError(f"id is {plugin_id!r}, but the package in src is of plugin {manifest['id']!r}")
    wanted = plugin_id or (manifest["id"] if manifest else None)
    if wanted is None:
        raise InputError("id is missing: name the plugin to remove")
    goal = PluginGoal(wanted, state, manifest["version"] if manifest else None, version)
    await client.require("changes of its plugins")
    calls = PluginCalls(client)
    installed = await calls.find(wanted)
    offered = await calls.offered(wanted) if goal.needs_marketplace(installed) else []
    plan = goal.plan(installed, offered)
    if plan.change.needed and not dry:
        await _apply(calls, wanted, plan, src, cascade)
        if wait_seconds is not None and plan.change.after.get("status") == ON:
            await _answering(client, calls, wanted, str(plan.change.after["version"]), wait_seconds)
    return plan.change.result(plugin=dict(plan.change.after), actions=_actions(plan))


async def _apply(calls: PluginCalls, plugin_id: str, plan: PluginPlan, src: str | None, cascade: bool) -> None:
    if plan.removes:
        await calls.remove(plugin_id, cascade)
    if plan.installs:
        await calls.install(_source(plugin_id, plan.installs, src))
    if plan.upgrades:
        await calls.upgrade(plugin_id, _source(plugin_id, plan.upgrades, src))
    if plan.switches is not None:
        await calls.switch(plugin_id, plan.switches)


def _source(plugin_id: str, version: str, src: str | None) -> Source:
    return upload(src) if src else {"source": "marketplace", "id": plugin_id, "version": version}


def _actions(plan: PluginPlan) -> list[str]:
    taken = {
        "remove": plan.removes,
        "install": plan.installs,
        "upgrade": plan.upgrades,
        "enable": plan.switches is True,
        "disable": plan.switches is False,
    }
    return [name for name, done in taken.items() if done]


async def _answering(client: FlexCoreClient, calls: PluginCalls, plugin_id: str, version: str, seconds: float) -> None:
    waited = await wait_until(
        lambda: calls.answers(plugin_id, version),
        lambda trouble: trouble is None,
        timeout=seconds,
        interval=LOOK_SECONDS,
        clock=client.clock,
    )
    if not waited.satisfied:
        raise ClientError(
            FailureKind.TIMEOUT,
            what=f"Waiting for plugin {plugin_id} at {client.url}",
            reason=f"it does not answer after {seconds:g} s: {waited.last}",
            next_step="Read the plugin's log on the server, or allow more time (wait_timeout).",
            phase="total",
        )
