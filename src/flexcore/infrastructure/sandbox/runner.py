"""Runs each execution in a sandboxed process of its own, which the supervisor starts."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from flexcore.application.audit import AuditOutcome, AuditRecord
from flexcore.application.ports import PluginCode, PluginRequest, PluginResult, ResourceUsage
from flexcore.domain.errors import (
    ExecutionCancelled,
    ExecutionFailure,
    ExecutionKilled,
    ExecutionTimedOut,
    PluginFailed,
    Unavailable,
)
from flexcore.domain.usage import NOT_MEASURED, ExecutionUsage
from flexcore.infrastructure.sandbox.channel import Run
from flexcore.infrastructure.sandbox.control import COMPONENT, Control, SandboxLost
from flexcore.infrastructure.sandbox.execution import Execution, Services
from flexcore.infrastructure.sandbox.messages import Ended, Limits, NotWarmed, Plugin, Start
from flexcore.infrastructure.sandbox.secrets import PluginSecrets

LINGER_SECONDS: Final = 1.0
"""How long a child may take to end after its answer."""
GRACE_SECONDS: Final = 5.0
"""How long the supervisor may take to tell of an end beyond the time limit, or after it was told to kill."""
_LONGEST_ERROR: Final = 500
_MAY_NOT: Final = "plugins may not make it"
_KILLED_BY: Final = {
    signal.SIGXCPU: "it used up its {cpu_seconds} s of processor time",
    signal.SIGXFSZ: "it wrote a file larger than {file_size_mb} MiB",
    signal.SIGSYS: "it made a system call that plugins may not make",
    signal.SIGKILL: "something outside of FlexCore killed it",
}


class SandboxRunner:
    """Starts, feeds, watches and ends executions.

    `configuration` holds the settings of plugins that have some, `python` runs those that are Python.
    """

    def __init__(
        self,
        control: Control,
        services: Services,
        secrets: PluginSecrets,
        *,
        configuration: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        python: str = sys.executable,
    ) -> None:
        self._control = control
        self._services = services
        self._secrets = secrets
        self._configuration = configuration
        self._python = python
        self._running: dict[str, tuple[str, Execution]] = {}

    def check(self, code: PluginCode) -> None:
        """Raise what keeps this node from running a plugin now: Conflict (a secret is missing), Unavailable."""
        if (problem := self._control.problem) is not None:
            raise Unavailable(COMPONENT, f"plugin '{code.manifest.id}' can't be run: {problem}")
        self._secrets.of(code.manifest)

    async def run(self, request: PluginRequest) -> PluginResult:
        """Run one operation to its end; cancelling it kills the plugin with all its processes.

        Raises PluginFailed, ExecutionTimedOut, ExecutionKilled; ExecutionCancelled if cancelled; Conflict (a secret is
        missing), and Unavailable if it could not be begun.
        """
        limits = request.code.manifest.limits
        run = Run(
            execution_id=request.execution_id,
            operation=request.operation,
            data=request.data,
            configuration=self._configuration.get(request.plugin_id, {}),
            secrets=self._secrets.of(request.code.manifest),
            correlation_id=request.correlation_id,
        )
        start = Start(
            execution_id=request.execution_id,
            plugin=self._plugin(request.code),
            limits=_limits(request.code),
            wall_seconds=min(request.timeout_seconds, limits.wall_seconds),
        )
        execution = Execution(request, run, self._services)
        try:
            ended = self._control.start(start, *execution.give_away())
        except Unavailable:
            execution.close()
            raise
        self._running[request.execution_id] = request.plugin_id, execution
        try:
            end = await self._end_of(request, execution, ended, start.wall_seconds)
        finally:
            del self._running[request.execution_id]
            execution.finish()
        return self._outcome(request, execution, end, start)

    def usage(self, plugin_id: str) -> ResourceUsage:
        """Tell what the plugin's running executions use, as it was measured within the last second."""
        cpu_percent = memory_bytes = 0.0
        connections = 0
        for execution_id, (owner, execution) in self._running.items():
            if owner != plugin_id:
                continue
            connections += execution.connections
            if (using := self._control.using(execution_id)) is not None:
                cpu_percent += 100 * using.cpu_ms / max(using.wall_ms, 1)
                memory_bytes += using.memory_bytes
        return ResourceUsage(round(cpu_percent, 1), round(memory_bytes / (1 << 20), 1), connections)

    async def warm(self, code: PluginCode) -> None:
        """Have a version ready, so that its first execution does not wait; raises PluginFailed if it can't be run."""
        try:
            answer = await self._control.warm(self._plugin(code), _limits(code))
        except SandboxLost as error:
            raise Unavailable(COMPONENT, str(error)) from error
        for refused in answer.refused:
            self._services.audit.record(
                AuditRecord(
                    actor=f"plugin:{code.manifest.id}",
                    action="plugin.system_call",
                    target=refused.syscall,
                    outcome=AuditOutcome.REFUSED,
                    detail=f"{_MAY_NOT}; it tried while it was imported",
                    count=refused.count,
                )
            )
        if isinstance(answer, NotWarmed):
            raise PluginFailed(f"plugin '{code.manifest.id}' {code.manifest.version} can't be run: {answer.error}", "")

    async def retire(self, code: PluginCode) -> None:
        """Let go of a version that is not run any more, once its running executions have ended."""
        self._control.retire(code.digest)

    async def _end_of(
        self, request: PluginRequest, execution: Execution, ended: asyncio.Future[Ended], wall_seconds: float
    ) -> Ended:
        """Wait until the child and all its processes are gone."""
        either: set[asyncio.Future[Any]] = {ended, execution.settled}
        try:
            await asyncio.wait(either, timeout=wall_seconds + GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                answered = execution.result is not None or execution.crash is not None
                if answered:
                    await asyncio.wait({ended}, timeout=LINGER_SECONDS)
                if not ended.done():
                    self._control.kill(request.execution_id)
                    await asyncio.wait({ended}, timeout=GRACE_SECONDS)
        except asyncio.CancelledError:
            self._control.kill(request.execution_id)
            await asyncio.wait({ended}, timeout=GRACE_SECONDS)
            usage = _usage(ended.result()) if ended.done() and ended.exception() is None else NOT_MEASURED
            raise ExecutionCancelled(
                f"execution {request.execution_id} of plugin '{request.plugin_id}' was cancelled",
                request.execution_id,
                usage,
            ) from None
        if not ended.done():
            raise _killed(request, "the sandbox supervisor does not tell of its end")
        try:
            return ended.result()
        except SandboxLost as error:
            raise _killed(request, str(error)) from error

    def _outcome(self, request: PluginRequest, execution: Execution, end: Ended, start: Start) -> PluginResult:
        usage = _usage(end)
        for refused in end.refused:
            execution.report("plugin.system_call", refused.syscall, _MAY_NOT, refused.count)
        if execution.broke is not None:
            raise _failed(request, execution.broke, usage)
        if execution.exceeded is not None:
            raise _killed(request, execution.exceeded, usage)
        if execution.result is not None:
            return PluginResult(execution.result.success, execution.result.data, usage)
        raise self._failure(request, execution, end, start, usage)

    def _failure(
        self, request: PluginRequest, execution: Execution, end: Ended, start: Start, usage: ExecutionUsage
    ) -> ExecutionFailure:
        limits = request.code.manifest.limits
        out_of_memory = f"it used more than {limits.memory_mb} MiB of memory"
        if execution.crash is not None:
            if execution.crash.out_of_memory:
                return _killed(request, out_of_memory, usage)
            return _failed(request, execution.crash.error, usage)
        match end.how:
            case "timed_out":
                return ExecutionTimedOut(
                    f"plugin '{request.plugin_id}' was stopped: operation '{request.operation}' was not done after "
                    f"{start.wall_seconds:g} s",
                    request.execution_id,
                    usage,
                )
            case "out_of_memory":
                return _killed(request, out_of_memory, usage)
            case "killed":
                return _killed(request, end.error or "the sandbox supervisor killed it", usage)
            case "not_started":
                return _failed(request, f"it could not be started: {end.error}", usage)
            case "signalled" if end.signal in _KILLED_BY:
                why = _KILLED_BY[signal.Signals(end.signal)]
                return _killed(
                    request, why.format(cpu_seconds=limits.cpu_seconds, file_size_mb=limits.file_size_mb), usage
                )
            case "signalled":
                return _failed(request, f"it was ended by {_name(end.signal)} without an answer", usage)
            case "exited":
                return _failed(request, f"it ended with exit code {end.exit_code} without an answer", usage)

    def _plugin(self, code: PluginCode) -> Plugin:
        manifest = code.manifest
        return Plugin(
            key=code.digest,
            id=manifest.id,
            version=manifest.version,
            directory=str(code.directory),
            python=None if manifest.entry_point is None else self._python,
            entry_point=manifest.entry_point,
            executable=manifest.executable,
            search_path=tuple(map(str, code.search_path)),
            read=manifest.permissions.read,
            write=manifest.permissions.write,
        )


def _limits(code: PluginCode) -> Limits:
    limits = code.manifest.limits
    return Limits(
        cpu_seconds=limits.cpu_seconds,
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        file_size_mb=limits.file_size_mb,
    )


def _usage(end: Ended) -> ExecutionUsage:
    return ExecutionUsage(end.cpu_ms, end.peak_memory_bytes or None)


def _failed(request: PluginRequest, why: str, usage: ExecutionUsage) -> PluginFailed:
    return PluginFailed(
        f"plugin '{request.plugin_id}' failed in operation '{request.operation}': {why[:_LONGEST_ERROR]}",
        request.execution_id,
        usage,
    )


def _killed(request: PluginRequest, why: str, usage: ExecutionUsage = NOT_MEASURED) -> ExecutionKilled:
    return ExecutionKilled(
        f"plugin '{request.plugin_id}' was killed in operation '{request.operation}': {why[:_LONGEST_ERROR]}",
        request.execution_id,
        usage,
    )


def _name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"
