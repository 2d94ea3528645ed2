"""Time is told in UTC, wherever the machine stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from flexcore_client.clock import Deadline, SystemClock, rfc3339

from tests.doubles.fake_clock import FakeClock


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine nine hours east of Greenwich."""
    with monkeypatch.context() as place:
        place.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_moments_are_written_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 21, 14, 0, 0, 1999, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(moment) == "2026-11-21T12:00:00.001Z"
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_the_clock_of_the_machine_lets_time_pass() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    asyncio.run(clock.sleep(0.01))
    assert clock.monotonic() - before >= 0.01


def test_a_deadline_counts_down_to_nothing_and_not_below() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 2.5)
    left = []
    for clock.elapsed in (0.0, 2.0, 2.5, 99.0):
        left.append(deadline.remaining)
    assert (left, deadline.seconds) == ([2.5, 0.5, 0.0, 0.0], 2.5)
