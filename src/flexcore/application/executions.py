"""Running plugins on this node: slots, drain, and the events that every execution leaves."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from flexcore.application.events import Events
from flexcore.application.plugin_views import Execution
from flexcore.application.ports import Clock, PluginRequest, PluginRunner
from flexcore.domain.errors import ExecutionTimedOut, FlexCoreError, PluginFailed, TooBusy, Unavailable
from flexcore.domain.events import NewEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason

# How long a cancelled execution may hold up its caller to record that it was cancelled.
CANCELLED_RECORD_SECONDS = 2.0

_log = logging.getLogger("flexcore.executions")


class Executions:
    """Running executions of this node, at most `slots` at once. Nothing waits in line: without a slot it is TooBusy.

    While `held` gives a reason, such as an operator's drain, nothing new is taken.
    """

    def __init__(
        self,
        *,
        events: Events,
        runner: PluginRunner,
        clock: Clock,
        node_id: str,
        slots: int,
        held: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._events = events
        self._runner = runner
        self._clock = clock
        self._node_id = node_id
        self._slots = slots
        self._held = held
        self._active = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def active(self) -> int:
        """How many executions run now."""
        return self._active

    @property
    def slots(self) -> int:
        """How many executions run at most at once."""
        return self._slots

    @property
    def free(self) -> int:
        """How many more executions this node would take now; none while it drains."""
        return 0 if self.draining else self._slots - self._active

    @property
    def draining(self) -> bool:
        """Whether new executions are refused."""
        return self._draining or self._held() is not None

    async def drain(self, deadline_seconds: float) -> bool:
        """Refuse new executions and wait for the running ones; False if some still ran at the deadline."""
        self._draining = True
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def run(self, request: PluginRequest, user_id: str | None) -> Execution:
        """Run `request` to its end between its two events.

        Raises TooBusy, Unavailable (draining, or the event log does not answer), PluginFailed, ExecutionTimedOut.
        """
        with self.slot():
            caller = {"correlation_id": request.correlation_id, "user_id": user_id}
            record = ExecutionRecord(
                request.execution_id, request.plugin_id, request.operation, {**caller, "node_id": self._node_id}
            )
            await self._events.append([record.started(request.timeout_seconds)])
            return await self._run(request, record, caller)

    async def _run(self, request: PluginRequest, record: ExecutionRecord, caller: dict[str, str | None]) -> Execution:
        started_at, start = self._clock(), time.perf_counter()

        def elapsed_ms() -> float:
            return round((time.perf_counter() - start) * 1000, 3)

        try:
            result = await self._runner.run(request)
        except asyncio.CancelledError:
            await self._record_cancelled(record.failed(FailureReason.CANCELLED, "the caller went away", elapsed_ms()))
            raise
        except (ExecutionTimedOut, PluginFailed) as error:
            reason = FailureReason.TIMED_OUT if isinstance(error, ExecutionTimedOut) else FailureReason.PLUGIN_FAILED
            await self._record_end(record.failed(reason, str(error), elapsed_ms()), outcome=str(error))
            raise
        duration_ms = elapsed_ms()
        await self._record_end(
            record.completed(success=result.success, execution_time_ms=duration_ms),
            outcome=f"plugin '{request.plugin_id}' ran to its end",
        )
        return Execution(
            execution_id=request.execution_id,
            plugin_id=request.plugin_id,
            result=result,
            execution_time_ms=duration_ms,
            started_at=started_at,
            # From the monotonic duration: a clock set back meanwhile can't make an execution end before it began.
            completed_at=started_at + timedelta(milliseconds=duration_ms),
            metadata=caller,
        )

    async def _record_end(self, event: NewEvent, outcome: str) -> None:
        try:
            await self._events.append([event])
        except Unavailable as error:
            raise Unavailable(
                error.service,
                f"{outcome}, but the end of execution {event.data['execution_id']} could not be recorded: {error}",
                error.retry_after_seconds,
            ) from error

    async def _record_cancelled(self, event: NewEvent) -> None:
        try:
            async with asyncio.timeout(CANCELLED_RECORD_SECONDS):
                await self._events.append([event])
        except (FlexCoreError, TimeoutError) as error:
            # Nobody is left to tell; the log is where an operator looks for an execution without an end.
            _log.error(
                "the cancelled execution %s could not be recorded: %s", event.data["execution_id"], error or "timed out"
            )

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of this node's slots; raises TooBusy, or Unavailable while the node drains."""
        if self._draining:
            raise Unavailable("flexcore", f"node {self._node_id} is draining and takes no new executions; use another")
        if (reason := self._held()) is not None:
            raise Unavailable("flexcore", f"{reason}; use another node")
        if self._active >= self._slots:
            raise TooBusy(f"all {self._slots} execution slots of node {self._node_id} are taken; try again shortly")
        self._active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active -= 1
            if self._active == 0:
                self._idle.set()
