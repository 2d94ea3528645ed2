"""Executions that nobody waits for: queued with their event in one transaction, run by any node, at least once.

A node can die while it runs one, so another may begin it again: each beginning is an attempt of its own, and the first
end that is recorded counts.
"""

import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from flexcore.application.cancellation import Cancellation
from flexcore.application.command_bus import CommandLog, Outcome, Request
from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.execution_ends import ExecutionEnds, fingerprint
from flexcore.application.executions import Beginning, BegunBefore, Executions
from flexcore.application.plugin_views import ExecutePlugin
from flexcore.application.plugins import Plugins
from flexcore.application.ports import Clock, Job, PluginRequest, Receipt
from flexcore.domain.errors import Conflict, ExecutionFailure, InvalidInput, NotFound
from flexcore.domain.execution import ExecutionRecord, FailureReason

RUN_EXECUTION: Final = "run_execution"
# While nodes are upgraded one after the other, some can't run a new plugin yet; others can, or will soon.
NO_CODE_SECONDS: Final = 600.0

_logger = logging.getLogger("flexcore.executions")


@dataclass(frozen=True, slots=True)
class _Order:
    """What the job of a queued execution says."""

    execution_id: str
    command: ExecutePlugin
    queued_at: datetime


class QueuedExecutions:
    """Queues executions, and runs those that this node took from the queue."""

    def __init__(
        self,
        *,
        log: CommandLog,
        ends: ExecutionEnds,
        plugins: Plugins,
        executions: Executions,
        cancellation: Cancellation,
        clock: Clock,
        node_id: str,
    ) -> None:
        self._log = log
        self._ends = ends
        self._plugins = plugins
        self._executions = executions
        self._cancellation = cancellation
        self._clock = clock
        self._node_id = node_id

    async def queue(self, command: ExecutePlugin, asked: Request) -> Outcome:
        """Queue an execution; the outcome's `execution_id` names it.

        Raises InvalidInput, NotFound, Conflict (not active, or the key of another request), TooBusy, Unavailable.
        """
        request = await self._plugins.prepare(command)
        self._executions.admission.check_open()
        return await self._log.record(
            asked,
            request.plugin_id,
            [_record(request, command, attempt=0).queued(request.timeout_seconds)],
            jobs=[Job(RUN_EXECUTION, _written(_Order(request.execution_id, command, self._clock())))],
            facts={"execution_id": request.execution_id},
        )

    async def run(self, arguments: Mapping[str, Any]) -> None:
        """Do the job of a queued execution; raises TooBusy or Unavailable if it can't be begun now."""
        order = _read(arguments)
        execution_id, command = order.execution_id, order.command
        CORRELATION_ID.set(command.correlation_id)
        if await self._ends.find(execution_id) is not None:
            return
        if self._clock() - order.queued_at < timedelta(seconds=NO_CODE_SECONDS):
            self._plugins.check_code(command.plugin_id)
        try:
            request = await self._plugins.prepare(command, execution_id)
        except (InvalidInput, NotFound, Conflict) as error:
            # It was in order when it was queued: the plugin was disabled, removed or replaced since.
            await self._ends.failed(self._record(order), FailureReason.REFUSED, str(error))
            return
        if await self._cancellation.wanted([execution_id]):
            await self._ends.failed(self._record(order), FailureReason.CANCELLED, "cancelled before it began again")
            return
        try:
            await self._begin(request, command.user_id)
        except (ExecutionFailure, Conflict) as error:
            _logger.info("queued execution %s ended without an answer: %s", execution_id, error)

    async def _begin(self, request: PluginRequest, user_id: str | None) -> None:
        for attempt in itertools.count(1):
            key = f"execution-attempt:{request.execution_id}:{attempt}"
            beginning = Beginning(
                attempt=attempt,
                receipt=Receipt(key, fingerprint(key), {"node_id": self._node_id}),
                keep_result=True,
                queued=True,
            )
            try:
                await self._executions.run(request, user_id, beginning)
            except BegunBefore as before:
                _logger.warning(
                    "execution %s is begun again: node %s began attempt %d and did not end it",
                    *(request.execution_id, before.answer["node_id"], attempt),
                )
            else:
                return

    def _record(self, order: _Order) -> ExecutionRecord:
        command = order.command
        metadata = {"correlation_id": command.correlation_id, "user_id": command.user_id, "node_id": self._node_id}
        return ExecutionRecord(order.execution_id, command.plugin_id, command.operation or "", metadata, attempt=0)


def _record(request: PluginRequest, command: ExecutePlugin, *, attempt: int) -> ExecutionRecord:
    metadata = {"correlation_id": command.correlation_id, "user_id": command.user_id}
    return ExecutionRecord(request.execution_id, request.plugin_id, request.operation, metadata, attempt=attempt)


def _written(order: _Order) -> dict[str, str]:
    # As one text, because the queue's jsonb has no place for the character NUL, nor for deep nesting.
    return {"execution_id": order.execution_id, "order": msgspec.json.encode(order).decode()}


def _read(arguments: Mapping[str, Any]) -> _Order:
    return msgspec.json.decode(arguments["order"], type=_Order)
