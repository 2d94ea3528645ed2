"""Execute an operation of a plugin, once for each key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .change import Change
from .client import OURS, FlexCoreClient
from .errors import ClientError, FailureKind, InputError
from .execution_calls import GRACE_SECONDS, UNDER_WAY, ExecutionCalls, failure_of
from .keys import check_key

SHOWN = ("execution_id", "status", "success", "result", "error")


@dataclass(frozen=True)
class Order:
    """What to execute and how to wait for it; ``timeout_seconds`` is the plugin's limit, ``wait_seconds`` ours."""

    plugin_id: str
    operation: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    key: str | None = None
    timeout_seconds: float = 30.0
    wait: bool = True
    wait_seconds: float | None = None
    tolerate_no_success: bool = False

    @property
    def patience(self) -> float:
        """Seconds to wait for the end."""
        return self.timeout_seconds + GRACE_SECONDS if self.wait_seconds is None else self.wait_seconds

    @property
    def body(self) -> dict[str, Any]:
        """The request."""
        parameters = {"timeout_seconds": self.timeout_seconds, "data": dict(self.data)}
        return {"operation": self.operation, "parameters": parameters}


async def execute(client: FlexCoreClient, order: Order, *, dry: bool) -> dict[str, Any]:
    """Execute ``order``, not when ``dry`` or done before under its key; raises ClientError and InputError."""
    if not 1 <= order.timeout_seconds <= 300:
        raise InputError(f"execution_timeout is {order.timeout_seconds:g}: allowed are 1 to 300 seconds")
    check_key(order.key)
    calls = ExecutionCalls(client)
    if await client.dialect() is not OURS:
        return await _elsewhere(client, calls, order, dry)
    earlier = await calls.earlier(order.plugin_id, order.key) if order.key else None
    if earlier is None and dry:
        await _must_exist(client, order.plugin_id)
        return _change(order, done=False).result(execution={}, repeated=False)
    if earlier is not None:
        execution_id = str(earlier["execution_id"])
    else:
        execution_id = await calls.begin(order.plugin_id, order.body, order.key)
    # In check mode nobody waits for what is not this run's doing.
    waits = order.wait and not dry
    execution = await (calls.ended(execution_id, order.patience) if waits else calls.get(execution_id))
    shown = {name: execution.get(name) for name in SHOWN}
    _judge(client, order, shown)
    return _change(order, done=earlier is not None).result(execution=shown, repeated=earlier is not None)


async def _must_exist(client: FlexCoreClient, plugin_id: str) -> None:
    """Predict the refusals that can be: there is no such plugin, or it is not active."""
    found = await client.plugin(plugin_id)
    reason = "there is no such plugin" if found is None else f"its status is {found.status}, not active"
    if found is None or found.status not in (None, "active"):
        raise ClientError(
            FailureKind.API_ERROR,
            what=f"Executing plugin {plugin_id} at {client.url}",
            reason=reason,
            next_step="Install or enable it first.",
            http_status=404 if found is None else 409,
        )


async def _elsewhere(client: FlexCoreClient, calls: ExecutionCalls, order: Order, dry: bool) -> dict[str, Any]:
    dialect = (await client.dialect()).name
    if order.key or not order.wait:
        asked = "key" if order.key else "wait: false"
        raise client.unsupported(f"this server ({dialect}) does not offer executions with {asked}")
    if dry:
        # Which ids it executes it does not tell, but whether it has plugins at all.
        await client.plugins()
        return _change(order, done=False).result(execution={}, repeated=False)
    execution = await calls.call_elsewhere(order.plugin_id, order.body, order.patience)
    _judge(client, order, execution)
    return _change(order, done=False).result(execution=execution, repeated=False)


def _judge(client: FlexCoreClient, order: Order, execution: Mapping[str, Any]) -> None:
    if execution["status"] in UNDER_WAY:
        return
    failure = failure_of(execution)
    if failure is None or (order.tolerate_no_success and execution["status"] == "completed"):
        return
    raise ClientError(
        FailureKind.API_ERROR,
        what=f"Executing {order.operation or 'the default operation'} of plugin {order.plugin_id} at {client.url}",
        reason=failure,
        next_step="Read the plugin's log on the server.",
        facts={"execution": dict(execution)},
    )


def _change(order: Order, *, done: bool) -> Change:
    about = {"plugin": order.plugin_id, "operation": order.operation}
    return Change({**about, "executed": done}, {**about, "executed": True})
