"""Runs each execution in a child process of its own."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from flexcore.application.ports import PluginCode, PluginRequest, PluginResult, ResourceUsage
from flexcore.domain.errors import ExecutionTimedOut, PluginFailed
from flexcore.infrastructure.sandbox import usage
from flexcore.infrastructure.sandbox.plugin_log import relay

_CHILD: Final = Path(__file__).with_name("child.py")
_PACKAGES: Final = Path(__file__).parents[3]
_READ_BYTES: Final = 1 << 16
# An answer can still be in the pipe when its process has ended.
_LAST_WORDS_SECONDS: Final = 1.0
_LONGEST_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use at most."""

    memory_bytes: int = 1 << 30
    open_files: int = 64
    answer_bytes: int = 10 << 20

    def of_process(self, timeout_seconds: float) -> dict[str, int]:
        """Give the resource limits by their names in the module `resource`. Nothing may be written to files."""
        return {
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_CPU": int(timeout_seconds) + 1,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_CORE": 0,
        }


class _Answer(msgspec.Struct, frozen=True):
    """What the child writes to stdout."""

    kind: Literal["done", "failed", "crashed"]
    data: Any = None
    error: str = ""


class SubprocessRunner:
    """Starts, feeds, watches and ends the child processes.

    `configuration` holds the settings of each plugin that has some, by plugin id.
    """

    def __init__(
        self,
        *,
        configuration: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        limits: Limits = Limits(),
    ) -> None:
        self._configuration = configuration
        self._limits = limits
        self._running: dict[str, tuple[str, usage.Running]] = {}

    def usage(self, plugin_id: str) -> ResourceUsage:
        """Measure what the plugin's running executions use now."""
        return usage.measure([running for owner, running in self._running.values() if owner == plugin_id])

    async def warm(self, code: PluginCode) -> None:
        """Do nothing: every execution starts from nothing."""

    async def retire(self, code: PluginCode) -> None:
        """Do nothing: what runs has its code already."""

    async def run(self, request: PluginRequest) -> PluginResult:
        """Run one operation to its end; raises PluginFailed or ExecutionTimedOut. Cancelling it kills the plugin."""
        process = await _start()
        self._running[request.execution_id] = request.plugin_id, usage.Running(process.pid, time.monotonic())
        conversation = _Conversation(process, self._encode(request), request, self._limits.answer_bytes)
        try:
            async with asyncio.timeout(request.timeout_seconds):
                await process.wait()
        except TimeoutError:
            raise ExecutionTimedOut(
                f"plugin '{request.plugin_id}' was stopped: operation '{request.operation}' was not done after "
                f"{request.timeout_seconds:g} s",
                request.execution_id,
            ) from None
        finally:
            # Also after a good end: what the plugin started and left behind would keep the pipes open.
            _kill_group(process)
            await process.wait()
            await conversation.end()
            del self._running[request.execution_id]
        return self._result(request, conversation.answer, process.returncode)

    def _encode(self, request: PluginRequest) -> bytes:
        return msgspec.json.encode(
            {
                "work": {
                    "execution_id": request.execution_id,
                    "entry_point": request.code.manifest.entry_point,
                    "configuration": self._configuration.get(request.plugin_id, {}),
                    "operation": request.operation,
                    "data": request.data,
                },
                "search_path": [str(path) for path in (_PACKAGES, *request.code.search_path)],
                "limits": self._limits.of_process(request.timeout_seconds),
                "parent": os.getpid(),
            }
        )

    def _result(self, request: PluginRequest, answer: bytes | None, exit_code: int | None) -> PluginResult:
        if answer is None:
            raise _failed(request, f"its answer is longer than {self._limits.answer_bytes} bytes")
        if not answer:
            raise _failed(request, f"it {_how_it_ended(exit_code)} without an answer")
        try:
            decoded = msgspec.json.decode(answer, type=_Answer)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _failed(request, f"its answer is not usable: {error}") from error
        if decoded.kind == "crashed":
            raise _failed(request, decoded.error)
        return PluginResult(success=decoded.kind == "done", data=decoded.data)


async def _start() -> asyncio.subprocess.Process:
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-B", "-X", "utf8", str(_CHILD)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Half started it would be a process that nobody knows of.
        process = await starting
        _kill_group(process)
        await process.wait()
        raise


class _Conversation:
    """What goes over the child's three pipes: the request, the answer, the log."""

    def __init__(
        self, process: asyncio.subprocess.Process, payload: bytes, request: PluginRequest, most_bytes: int
    ) -> None:
        assert process.stdin is not None  # noqa: S101 - all three are pipes
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self.answer: bytes | None = b""
        """None once it is too long."""
        self._tasks = (
            asyncio.create_task(self._feed(process.stdin, payload)),
            asyncio.create_task(self._listen(process, process.stdout, most_bytes)),
            asyncio.create_task(relay(process.stderr, request)),
        )

    async def end(self) -> None:
        """Take what is still in the pipes of a process that ended."""
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_WORDS_SECONDS)
        for task in late:
            task.cancel()

    async def _feed(self, stdin: asyncio.StreamWriter, payload: bytes) -> None:
        # A child that died before it read everything shows in its missing answer.
        with suppress(ConnectionError):
            stdin.write(payload)
            await stdin.drain()
            stdin.close()
            await stdin.wait_closed()

    async def _listen(self, process: asyncio.subprocess.Process, stdout: asyncio.StreamReader, most_bytes: int) -> None:
        answer = bytearray()
        while chunk := await stdout.read(_READ_BYTES):
            answer += chunk
            if len(answer) > most_bytes:
                _kill_group(process)
                answer.clear()
                self.answer = None
        if self.answer is not None:
            self.answer = bytes(answer)


def _kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill the child and whatever it started in its session's process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


def _failed(request: PluginRequest, why: str) -> PluginFailed:
    return PluginFailed(
        f"plugin '{request.plugin_id}' failed in operation '{request.operation}': {why[:_LONGEST_ERROR]}",
        request.execution_id,
    )
