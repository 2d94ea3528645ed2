"""Many checks at once: bounded, each with its own time limit, all with one deadline, and then read together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .clock import Clock, Deadline, SystemClock
from .connection import Connection
from .event_loop import run
from .evidence import reconcile
from .exchange import Timeouts
from .health import check_service, unchecked
from .models import HealthStatus, ServiceHealth
from .retry import NO_RETRIES, RetryPolicy
from .targets import Target
from .tls import tls_context

CONCURRENCY = 100
NO_PHASE_LIMITS = Timeouts(connect=math.inf, read=math.inf)


@dataclass(frozen=True)
class CheckOptions:
    """``timeout`` is seconds per target with all its retries; ``deadline`` is seconds for the whole call.

    The timeouts of ``connection`` limit the phases of each request within ``timeout``, its total is not looked at.

    Without a deadline the call takes at most ``timeout`` for each ``concurrency`` targets. A healthy service that
    took more than ``max_response_time_ms`` is degraded. ``retry`` repeats a check whose verdict is not healthy.
    """

    timeout: float = 5.0
    deadline: float | None = None
    concurrency: int = CONCURRENCY
    max_response_time_ms: float | None = None
    retry: RetryPolicy = NO_RETRIES
    connection: Connection = field(default_factory=lambda: Connection(timeouts=NO_PHASE_LIMITS))


def check(
    targets: Sequence[Target], options: CheckOptions | None = None, clock: Clock | None = None
) -> list[ServiceHealth]:
    """Check all targets and return their verdicts in the same order. For callers that are not asynchronous."""
    return run(check_all(targets, options, clock))


async def check_all(
    targets: Sequence[Target], options: CheckOptions | None = None, clock: Clock | None = None
) -> list[ServiceHealth]:
    """Check all targets and return their verdicts in the same order.

    Never raises for what a server does, but InputError for certificates that cannot be read.
    """
    chosen, time = options or CheckOptions(), clock or SystemClock()
    schemes = {target.address.scheme for target in targets if target.address.service == "flexcore"}
    for scheme in schemes:
        tls_context(chosen.connection.tls, scheme)
    whole = Deadline(time, math.inf if chosen.deadline is None else chosen.deadline)
    gate = asyncio.Semaphore(chosen.concurrency)

    async def one(target: Target) -> ServiceHealth:
        async with gate:
            if whole.remaining == 0:
                cause = f"its turn did not come within the deadline of {whole.seconds:g} s"
                return unchecked(target, cause)
            return await _check_until_settled(target, chosen, time, whole.remaining)

    return reconcile(await asyncio.gather(*(one(target) for target in targets)))


async def _check_until_settled(target: Target, options: CheckOptions, clock: Clock, remaining: float) -> ServiceHealth:
    deadline = Deadline(clock, min(options.timeout, remaining))
    attempt = 0
    while True:
        attempt += 1
        result = _with_threshold(await check_service(target, deadline, clock, options.connection), options)
        if result.healthy:
            return result
        pause = options.retry.delay(attempt, None, deadline.remaining)
        if pause is None:
            return result
        await clock.sleep(pause)


def _with_threshold(result: ServiceHealth, options: CheckOptions) -> ServiceHealth:
    limit, took = options.max_response_time_ms, result.response_time_ms
    if limit is None or took is None or took <= limit or not result.healthy:
        return result
    cause = f"answered in {took:g} ms, allowed are {limit:g} ms"
    return result.worse(HealthStatus.DEGRADED, cause, str(result.details["service"]))
