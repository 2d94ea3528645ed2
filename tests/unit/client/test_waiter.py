"""Waiting ends when the condition held long enough, or at the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from flexcore_client.waiter import Waited, wait_until

from tests.doubles.fake_clock import FakeClock


def wait(
    seen: Iterable[bool], *, timeout: float = 10, interval: float = 1, stable: int = 1
) -> tuple[Waited[bool], FakeClock]:
    clock, left = FakeClock(), iter(seen)

    async def look() -> bool:
        return next(left, False)

    async def run() -> Waited[bool]:
        return await wait_until(look, bool, timeout=timeout, clock=clock, interval=interval, stable=stable)

    return asyncio.run(run()), clock


def test_it_ends_at_once_when_the_condition_holds() -> None:
    waited, clock = wait([True])
    assert waited == Waited(True, True, 1, 0.0)
    assert clock.slept == []


def test_it_looks_until_the_condition_holds() -> None:
    waited, clock = wait([False, False, True])
    assert (waited.satisfied, waited.looks, waited.elapsed, clock.slept) == (True, 3, 2.0, [1, 1])


def test_the_condition_has_to_hold_several_times_in_a_row() -> None:
    waited, _ = wait([True, False, True, True, True], stable=3)
    assert (waited.satisfied, waited.looks) == (True, 5)


def test_the_last_look_is_at_the_deadline() -> None:
    waited, clock = wait([], timeout=2.5)
    assert (waited.satisfied, waited.last, waited.looks, waited.elapsed) == (False, False, 4, 2.5)
    assert clock.slept == [1, 1, 0.5]


def test_who_says_nothing_else_waits_a_second_and_takes_the_first_success() -> None:
    clock, left = FakeClock(), iter([False, True])

    async def look() -> bool:
        return next(left)

    waited = asyncio.run(wait_until(look, bool, timeout=10, clock=clock))
    assert (waited.satisfied, waited.looks, clock.slept) == (True, 2, [1.0])


def test_without_time_it_looks_once() -> None:
    waited, clock = wait([], timeout=0)
    assert (waited.satisfied, waited.looks, clock.slept) == (False, 1, [])
