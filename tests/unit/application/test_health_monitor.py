"""The health monitor: judging, hanging probes, stale results, draining."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from flexcore.application import health
from flexcore.application.health import HealthMonitor, HealthSnapshot, Status
from flexcore.application.ports import ProbeResult
from flexcore.domain.errors import Unavailable


class ScriptedProbe:
    """A probe that does what the test says at each moment."""

    def __init__(self, name: str, behaviour: Callable[[], Awaitable[ProbeResult]]) -> None:
        self.name = name
        self.behaviour = behaviour
        self.started = 0

    async def check(self) -> ProbeResult:
        self.started += 1
        return await self.behaviour()


async def works() -> ProbeResult:
    return ProbeResult("1.0", "fine")


def fails(error: Exception) -> Callable[[], Awaitable[ProbeResult]]:
    async def behaviour() -> ProbeResult:
        raise error

    return behaviour


async def hangs() -> ProbeResult:
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_and_ignores_cancellation() -> ProbeResult:
    for _ in range(3):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    return ProbeResult(None, "came back")


def monitor_of(*probes: ScriptedProbe) -> HealthMonitor:
    return HealthMonitor(
        probes,
        vital=frozenset({"postgresql"}),
        needed=frozenset({"postgresql", "redis"}),
        interval_seconds=0.01,
        timeout_seconds=0.05,
    )


async def until(monitor: HealthMonitor, condition: Callable[[HealthSnapshot], bool]) -> HealthSnapshot:
    async with asyncio.timeout(10):
        while not condition(monitor.snapshot()):  # noqa: ASYNC110 - the monitor announces nothing, it is asked
            await asyncio.sleep(0.005)
    return monitor.snapshot()


def first_snapshot(*probes: ScriptedProbe) -> HealthSnapshot:
    async def scenario() -> HealthSnapshot:
        monitor = monitor_of(*probes)
        await monitor.start()
        snapshot = monitor.snapshot()
        await monitor.close()
        return snapshot

    return asyncio.run(scenario())


def test_everything_works() -> None:
    snapshot = first_snapshot(ScriptedProbe("postgresql", works), ScriptedProbe("redis", works))
    assert snapshot.status is Status.HEALTHY
    assert snapshot.ready
    assert snapshot.components["redis"].version == "1.0"
    assert snapshot.components["redis"].response_time_ms is not None


def test_a_vital_failure_is_unhealthy_and_another_one_degrades() -> None:
    broken = fails(ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 5432)"))
    vital = first_snapshot(ScriptedProbe("postgresql", broken), ScriptedProbe("redis", works))
    assert vital.status is Status.UNHEALTHY
    assert vital.reasons == ("postgresql: connection refused",)
    other = first_snapshot(ScriptedProbe("postgresql", works), ScriptedProbe("redis", broken))
    assert other.status is Status.DEGRADED
    assert not other.ready
    disk = first_snapshot(ScriptedProbe("postgresql", works), ScriptedProbe("disk", broken))
    assert disk.status is Status.DEGRADED
    assert disk.ready


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError(), "no answer within 0.05 s"),
        (ConnectionRefusedError(111, "at 10.0.0.1"), "connection refused"),
        (OSError(113, "No route to host"), "No route to host"),
        (Unavailable("redis", "access denied:\n bad password"), "access denied: bad password"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_message_is_the_cause_in_one_line(error: Exception, message: str) -> None:
    snapshot = first_snapshot(ScriptedProbe("redis", fails(error)))
    assert snapshot.components["redis"].message == message


@pytest.mark.parametrize("behaviour", [hangs, hangs_and_ignores_cancellation])
def test_a_hanging_probe_is_reported_and_its_recovery_too(behaviour: Callable[[], Awaitable[ProbeResult]]) -> None:
    async def scenario() -> None:
        probe = ScriptedProbe("postgresql", works)
        monitor = monitor_of(probe)
        await monitor.start()
        probe.behaviour = behaviour
        snapshot = await until(monitor, lambda found: found.status is Status.UNHEALTHY)
        assert snapshot.components["postgresql"].message == "no answer within 0.05 s"
        probe.behaviour = works
        await until(monitor, lambda found: found.status is Status.HEALTHY)
        await monitor.close()

    asyncio.run(scenario())


def test_a_probe_that_ignores_cancellation_is_not_started_twice() -> None:
    async def scenario() -> int:
        probe = ScriptedProbe("postgresql", hangs_and_ignores_cancellation)
        monitor = monitor_of(probe)
        await monitor.start()
        started = probe.started
        await monitor.close()
        return started

    assert asyncio.run(scenario()) == 1


def test_an_old_result_counts_as_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> HealthSnapshot:
        monitor = monitor_of(ScriptedProbe("postgresql", works))
        await monitor.start()
        await monitor.close()
        later = time.monotonic() + health.STALE_AFTER_SECONDS + 1
        monkeypatch.setattr(health.time, "monotonic", lambda: later)
        return monitor.snapshot()

    snapshot = asyncio.run(scenario())
    assert snapshot.status is Status.UNHEALTHY
    assert snapshot.components["postgresql"].message.startswith("no check finished in the last 5 s")


def test_draining_is_not_ready_but_still_healthy() -> None:
    async def scenario() -> HealthSnapshot:
        monitor = monitor_of(ScriptedProbe("postgresql", works))
        await monitor.start()
        monitor.drain()
        await monitor.close()
        return monitor.snapshot()

    snapshot = asyncio.run(scenario())
    assert snapshot.status is Status.HEALTHY
    assert not snapshot.ready
    assert snapshot.reasons == ("draining: this node is shutting down",)


def test_a_node_held_by_its_operator_is_not_ready_but_still_healthy() -> None:
    async def scenario() -> tuple[HealthSnapshot, HealthSnapshot]:
        reason: str | None = "node a is drained"
        monitor = HealthMonitor(
            [ScriptedProbe("postgresql", works)],
            vital=frozenset({"postgresql"}),
            needed=frozenset({"postgresql"}),
            held=lambda: reason,
        )
        await monitor.start()
        held, reason = monitor.snapshot(), None
        await monitor.close()
        return held, monitor.snapshot()

    held, free = asyncio.run(scenario())
    assert (held.status, held.ready, held.reasons) == (Status.HEALTHY, False, ("drain: node a is drained",))
    assert free.ready


def test_before_the_first_check_nothing_is_healthy() -> None:
    snapshot = monitor_of(ScriptedProbe("postgresql", works)).snapshot()
    assert snapshot.status is Status.UNHEALTHY
    assert not snapshot.ready
