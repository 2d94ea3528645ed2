"""One execution as the server sees it: its channel, its log, and what it asks for."""

import asyncio
import logging
import os
import socket
from typing import Final

from flexcore.application.audit import Audit, AuditOutcome, AuditRecord
from flexcore.application.ports import PluginRequest
from flexcore.infrastructure.sandbox.broker import MOST_CONNECTIONS, NetworkBroker, RefusedError
from flexcore.infrastructure.sandbox.channel import (
    Connect,
    Connected,
    Crashed,
    Emit,
    Emitted,
    Log,
    Refused,
    Result,
    Run,
    read,
    written,
)
from flexcore.infrastructure.sandbox.emitter import MOST_EVENTS, EventEmitter
from flexcore.infrastructure.sandbox.lines import LineReader, LineSender
from flexcore.infrastructure.sandbox.plugin_log import LONGEST_LINE, PluginLog
from flexcore.infrastructure.sandbox.secrets import Mask, TooMuchToBlotError

MOST_REFUSALS: Final = 100
"""Requests of one execution that may be refused; one that goes on asking is killed."""
# A line of the log can be longer than what is shown of it, so that a secret is blotted out before it is cut.
_LONGEST_LOG_LINE: Final = 4 * LONGEST_LINE
_MIBIBYTE: Final = 1 << 20

_logger = logging.getLogger("flexcore.sandbox")


class Services:
    """What executions may ask the server for, and where it is written down when they may not."""

    def __init__(self, broker: NetworkBroker, emitter: EventEmitter, audit: Audit) -> None:
        self.broker = broker
        self.emitter = emitter
        self.audit = audit


class Execution:
    """Speaks with the child of one execution until `finish`.

    `settled` is done as soon as nothing that the child still says counts. Then it gave its `result`, or there was a
    `crash`, or it `broke` the rules of the channel, or it `exceeded` what it may have.
    """

    def __init__(self, request: PluginRequest, run: Run, services: Services) -> None:
        self._request = request
        self._services = services
        self._mask = Mask(run.secrets.values())
        self._log = PluginLog(request, self._mask)
        self._task: asyncio.Task[None] | None = None
        self._refusals = 0
        self._events = 0
        self._over = False
        self.connections = 0
        self.result: Result | None = None
        self.crash: Crashed | None = None
        self.broke: str | None = None
        self.exceeded: str | None = None
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open(run)

    def give_away(self) -> tuple[int, int]:
        """Return the descriptors for the child, which are no longer this one's: of its channel and of its log."""
        return self._theirs.detach(), self._log_writer

    def finish(self) -> None:
        """Hear what the child had still to say, now that it and all its processes are gone, and close everything."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
        self._channel.drain()
        self._printed.drain()
        self.close()

    def close(self) -> None:
        """Close everything."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
        self._channel.close()
        self._printed.close()
        self._sender.close()
        self._ours.close()
        self._theirs.close()
        os.close(self._log_reader)

    def _open(self, run: Run) -> None:
        limits = self._request.code.manifest.limits
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.setblocking(False)
        self._log_reader, self._log_writer = os.pipe()
        os.set_blocking(self._log_reader, False)
        self._sender = LineSender(self._ours)
        self._channel = LineReader(
            self._ours.fileno(),
            longest=limits.output_mb * _MIBIBYTE,
            on_line=self._hear,
            on_end=self._hear_no_more,
            full_speed=(limits.output_mb + 1) * _MIBIBYTE,
        )
        self._printed = LineReader(
            self._log_reader,
            longest=_LONGEST_LOG_LINE,
            on_line=self._log.line,
            on_end=lambda _: None,
            cut=True,
            full_speed=_MIBIBYTE,
        )
        self._sender.send(written(run))

    def _hear(self, line: bytearray) -> None:
        if self.settled.done():
            self._note_late()
            return
        try:
            message = read(line)
        except (ValueError, RecursionError) as error:
            self._settle(broke=f"its answer is not usable: it wrote a line that is no message: {error}")
            return
        match message:
            case Log():
                self._log.message(message.level, message.message)
            case Result():
                self._take_result(message)
            case Crashed():
                self.crash = Crashed(self._mask.text(message.error), message.out_of_memory)
                self._settle()
            case Connect() | Emit() if not self._over:
                self._channel.hold()
                self._task = asyncio.get_running_loop().create_task(self._serve(message))

    def _hear_no_more(self, problem: str | None) -> None:
        if problem is not None and not self.settled.done():
            self._settle(exceeded=f"its answer is too long: {problem}")

    def _take_result(self, result: Result) -> None:
        try:
            self.result = Result(result.success, self._mask.value(result.data))
        except RecursionError:
            self._settle(broke="its answer is nested too deeply")
        except TooMuchToBlotError as error:
            self._settle(broke=f"its answer is not usable: {error}")
        else:
            self._settle()

    def _note_late(self) -> None:
        # Once: whatever it says from now on, nobody listens.
        self._log.note("the plugin went on after its answer; that is ignored")
        self._channel.close()

    def _settle(self, *, broke: str | None = None, exceeded: str | None = None) -> None:
        self.broke, self.exceeded = broke, exceeded
        if not self.settled.done():
            self.settled.set_result(None)

    async def _serve(self, wanted: Connect | Emit) -> None:
        try:
            if isinstance(wanted, Connect):
                await self._connect(wanted)
            else:
                await self._emit(wanted)
        except RefusedError as refused:
            self._refuse(wanted, refused)
        except Exception:
            _logger.exception("a request of a plugin failed unexpectedly")
            self._sender.send(written(Refused("FlexCore failed in a way it did not expect; its log has the cause")))
        self._channel.go_on()

    async def _connect(self, wanted: Connect) -> None:
        if self.connections >= MOST_CONNECTIONS:
            raise RefusedError(f"an execution has at most {MOST_CONNECTIONS} connections", forbidden=True)
        with await self._services.broker.connect(self._request.code.manifest, wanted.host, wanted.port) as connection:
            self.connections += 1
            self._sender.send(written(Connected()), connection.detach())

    async def _emit(self, wanted: Emit) -> None:
        if self._events >= MOST_EVENTS:
            raise RefusedError(f"an execution records at most {MOST_EVENTS} events", forbidden=True)
        self._events += 1
        self._sender.send(written(Emitted(await self._services.emitter.emit(self._request, wanted, self._mask))))

    def _refuse(self, wanted: Connect | Emit, refused: RefusedError) -> None:
        self._sender.send(written(Refused(str(refused))))
        if not refused.forbidden:
            return
        if isinstance(wanted, Connect):
            self.report("plugin.connect", f"{wanted.host[:253]}:{wanted.port}", str(refused))
        else:
            self.report("plugin.emit", wanted.event_type[:128], str(refused))
        self._refusals += 1
        if self._refusals >= MOST_REFUSALS:
            self._settle(exceeded=f"it asked {MOST_REFUSALS} times for what it may not have")

    def report(self, action: str, target: str, detail: str, count: int = 1) -> None:
        """Have it on record that the plugin tried what it may not."""
        self._services.audit.record(
            AuditRecord(
                actor=f"plugin:{self._request.plugin_id}",
                action=action,
                target=self._mask.text(target),
                outcome=AuditOutcome.REFUSED,
                detail=self._mask.text(detail),
                correlation_id=self._request.correlation_id,
                count=count,
            )
        )
