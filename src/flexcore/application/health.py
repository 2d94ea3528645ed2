"""Watches the components FlexCore needs, so that asking how it is never waits for any of them.

Each probe runs in its own task, over and over. A snapshot only reads the latest results; one that is too old counts
as a failure, because a health page that repeats yesterday's good news is worse than none.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from flexcore.application.ports import Clock, Probe, ProbeResult

INTERVAL_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 2.0
STALE_AFTER_SECONDS: Final = 5.0
_LONGEST_MESSAGE: Final = 300


class Status(StrEnum):
    """How something is. `degraded` still serves."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """The latest finding about one component; the message names the cause when it is not healthy."""

    status: Status
    response_time_ms: float | None
    last_check: datetime | None
    message: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class HealthSnapshot:
    """What is known now. `ready` says whether a request would succeed, `reasons` why not."""

    status: Status
    components: Mapping[str, ComponentHealth]
    ready: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Finding:
    component: ComponentHealth
    monotonic: float


class HealthMonitor:
    """Runs the probes in the background and judges their results.

    `vital` components make the whole unhealthy when they fail, the others degrade it; `needed` ones have to be
    healthy for the node to be ready. While `held` gives a reason, such as an operator's drain, it is not ready either.
    """

    def __init__(
        self,
        probes: Iterable[Probe],
        *,
        vital: frozenset[str],
        needed: frozenset[str],
        interval_seconds: float = INTERVAL_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Clock = lambda: datetime.now(UTC),
        held: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._probes = tuple(probes)
        self._vital = vital
        self._needed = needed
        self._interval = interval_seconds
        self._timeout = timeout_seconds
        self._clock = clock
        self._held = held
        self._findings: dict[str, _Finding] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._first_round = asyncio.Event()
        self._draining = False

    async def start(self) -> None:
        """Begin probing; returns when every component has been judged once, at most `timeout_seconds` later."""
        self._tasks = [asyncio.create_task(self._watch(probe), name=f"probe {probe.name}") for probe in self._probes]
        await self._first_round.wait()

    async def close(self) -> None:
        """Stop probing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drain(self) -> None:
        """Report not ready from now on: the node is going away."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether the node is going away."""
        return self._draining

    def snapshot(self) -> HealthSnapshot:
        """Judge the latest findings; never waits."""
        now = time.monotonic()
        components = {probe.name: self._component(probe.name, now) for probe in self._probes}
        failed = {name for name, component in components.items() if component.status is not Status.HEALTHY}
        status = Status.UNHEALTHY if failed & self._vital else Status.DEGRADED if failed else Status.HEALTHY
        reasons = [f"{name}: {components[name].message}" for name in components if name in failed & self._needed]
        if self._draining:
            reasons.append("draining: this node is shutting down")
        if (reason := self._held()) is not None:
            reasons.append(f"drain: {reason}")
        return HealthSnapshot(status, components, not reasons, tuple(reasons))

    def _component(self, name: str, now: float) -> ComponentHealth:
        finding = self._findings.get(name)
        if finding is None:
            return ComponentHealth(Status.UNHEALTHY, None, None, "not checked yet")
        age = now - finding.monotonic
        if age <= STALE_AFTER_SECONDS:
            return finding.component
        message = f"no check finished in the last {STALE_AFTER_SECONDS:.0f} s; the last one said: "
        return ComponentHealth(
            Status.UNHEALTHY, None, finding.component.last_check, message + finding.component.message
        )

    async def _watch(self, probe: Probe) -> None:
        while True:
            await self._check(probe)
            await asyncio.sleep(self._interval)

    async def _check(self, probe: Probe) -> None:
        started = time.perf_counter()
        check = asyncio.create_task(probe.check(), name=f"check {probe.name}")
        try:
            # A probe that ignores its cancellation is not started twice: it is reported until it ends.
            while not (await asyncio.wait({check}, timeout=self._timeout))[0]:
                check.cancel()
                self._record(probe, Status.UNHEALTHY, None, ProbeResult(None, f"no answer within {self._timeout:g} s"))
        except asyncio.CancelledError:
            check.cancel()
            raise
        if check.cancelled():
            return
        if (error := check.exception()) is not None:
            self._record(probe, Status.UNHEALTHY, None, ProbeResult(None, self._cause(error)))
        else:
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            self._record(probe, Status.HEALTHY, elapsed_ms, check.result())

    def _record(self, probe: Probe, status: Status, response_time_ms: float | None, result: ProbeResult) -> None:
        component = ComponentHealth(status, response_time_ms, self._clock(), result.message, result.version)
        self._findings[probe.name] = _Finding(component, time.monotonic())
        if len(self._findings) == len(self._probes):
            self._first_round.set()

    def _cause(self, error: BaseException) -> str:
        match error:
            case TimeoutError():
                return f"no answer within {self._timeout:g} s"
            case ConnectionRefusedError():
                return "connection refused"
            case OSError(strerror=str(reason)):
                return reason
            case _:
                text = " ".join(str(error).split()) or type(error).__name__
                return text[:_LONGEST_MESSAGE]
