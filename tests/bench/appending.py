"""Many writers that append for a while, and how fast that went."""

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop

SECONDS = 2.5

Result = TypeVar("Result")
Append = Callable[[int, int], Awaitable[object]]
"""Appends once for writer n (from 0), for the nth time (from 0)."""


@dataclass(frozen=True)
class Measured:
    """How one measurement went: events a second, and how long one append took."""

    rate: float
    p50_ms: float
    p99_ms: float


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def append_for(writers: int, append: Append, *, events: int = 1, seconds: float = SECONDS) -> Measured:
    """Let `writers` coroutines append `events` at a time, each its next when the one before is done."""
    latencies: list[float] = []
    begin = time.perf_counter()
    end = begin + seconds

    async def write(writer: int) -> None:
        turn = 0
        while (before := time.perf_counter()) < end:
            await append(writer, turn)
            latencies.append(time.perf_counter() - before)
            turn += 1

    await asyncio.gather(*(write(writer) for writer in range(writers)))
    return _measured(latencies, events, time.perf_counter() - begin)


def append_in_threads(
    writers: int, append: Callable[[int, int], object], *, events: int = 1, seconds: float = SECONDS
) -> Measured:
    """The same with `writers` threads, for stores that block."""
    latencies: list[float] = []
    begin = time.perf_counter()
    end = begin + seconds

    def write(writer: int) -> None:
        turn = 0
        while (before := time.perf_counter()) < end:
            append(writer, turn)
            latencies.append(time.perf_counter() - before)
            turn += 1

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _measured(latencies, events, time.perf_counter() - begin)


def on_uvloop(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on the event loop that the server uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def median(measured: Sequence[Measured]) -> Measured:
    """The median of each figure."""
    return Measured(
        statistics.median(one.rate for one in measured),
        statistics.median(one.p50_ms for one in measured),
        statistics.median(one.p99_ms for one in measured),
    )


def best(candidates: Sequence[list[Measured]]) -> list[Measured]:
    """The runs of the candidate with the highest median rate: a peer is shown at its best."""
    return max(candidates, key=lambda runs: median(runs).rate)


def _measured(latencies: Sequence[float], events: int, seconds: float) -> Measured:
    return Measured(
        len(latencies) * events / seconds, percentile(latencies, 50) * 1000, percentile(latencies, 99) * 1000
    )
