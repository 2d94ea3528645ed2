"""Executions as callers ask for them: waited for or queued, and once only for each Idempotency-Key."""

from typing import Any, Final

import msgspec

from flexcore.application.command_bus import CommandBus, Request
from flexcore.application.execution_ends import ExecutionEnds, fingerprint
from flexcore.application.execution_results import KeptResults
from flexcore.application.executions import Beginning, BegunBefore, Executions
from flexcore.application.plugin_views import ExecutePlugin, Execution, QueuedExecution
from flexcore.application.plugins import Plugins
from flexcore.application.ports import PluginAnswer, Receipt, Receipts
from flexcore.application.read_models.execution_history import ExecutionStatus
from flexcore.domain.errors import Conflict

SCOPE: Final = "executePlugin"


class PluginExecutions:
    """Begins executions."""

    def __init__(
        self,
        *,
        plugins: Plugins,
        executions: Executions,
        commands: CommandBus,
        ends: ExecutionEnds,
        receipts: Receipts,
        results: KeptResults,
    ) -> None:
        self._plugins = plugins
        self._executions = executions
        self._commands = commands
        self._ends = ends
        self._receipts = receipts
        self._results = results

    async def execute(self, command: ExecutePlugin, key: str | None) -> Execution:
        """Run one operation to its end; the same command again under `key` gets the first answer.

        Raises what `Plugins.execute` raises, and Conflict while the first still runs, or for a `key` that was used
        for another command.
        """
        if key is None:
            return await self._plugins.execute(command)
        receipt = Receipt(f"{SCOPE}:{key}", _fingerprint("wait", command))
        first = await self._receipts.find(receipt.key)
        if first is not None:
            return await self._first_answer(first, receipt, command)
        request = await self._plugins.prepare(command)
        metadata = {"correlation_id": command.correlation_id, "user_id": command.user_id}
        answer = {"execution_id": request.execution_id, "metadata": metadata}
        receipt = Receipt(receipt.key, receipt.fingerprint, answer)
        try:
            return await self._executions.run(request, command.user_id, Beginning(receipt=receipt, keep_result=True))
        except BegunBefore as before:
            # By the same request, a moment ago.
            return await self._first_answer(Receipt(receipt.key, receipt.fingerprint, before.answer), receipt, command)

    async def queue(self, command: ExecutePlugin, key: str | None) -> QueuedExecution:
        """Queue one operation; the same command again under `key` gets the same execution.

        Raises InvalidInput, NotFound, Conflict (not active, or a `key` of another command), TooBusy, Unavailable.
        """
        asked = Request(
            command.correlation_id,
            command.user_id,
            key=None if key is None else f"{SCOPE}:{key}",
            fingerprint=_fingerprint("queue", command),
        )
        outcome = await self._commands.send(command, asked)
        return QueuedExecution(outcome.facts["execution_id"])

    async def _first_answer(self, first: Receipt, receipt: Receipt, command: ExecutePlugin) -> Execution:
        if first.fingerprint != receipt.fingerprint:
            # As the event store puts it.
            key = receipt.key.partition(":")[2]
            raise Conflict(f"the key '{key}' was used for another request; a new request needs a key of its own")
        execution_id = first.answer["execution_id"]
        where = f"GET /api/v1/flexcore/executions/{execution_id}"
        end = await self._ends.find(execution_id)
        if end is None:
            raise Conflict(
                f"the first request with this Idempotency-Key still runs, as execution {execution_id}; "
                f"{where} tells when it has ended, and the same request then gets its answer"
            )
        if end.status is not ExecutionStatus.COMPLETED:
            raise end.failure()
        kept = await self._results.find(execution_id, end.attempt)
        if kept is None or not kept.kept:
            raise Conflict(
                f"the first request with this Idempotency-Key was executed, as execution {execution_id}, but its "
                "answer is not kept any more, or was too large; send a new key to execute it again"
            )
        return end.execution(
            command.plugin_id, PluginAnswer(success=bool(end.success), data=kept.data), first.answer["metadata"]
        )


def _fingerprint(how: str, command: ExecutePlugin) -> str:
    """Tell commands apart by what they do: the correlation id of a request that is sent again may be another."""
    what: list[Any] = [command.operation, command.timeout_seconds, command.user_id, command.data]
    return fingerprint(how, command.plugin_id, msgspec.json.encode(what, order="sorted").decode())
