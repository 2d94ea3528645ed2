"""A short sample of tests/soak/test_event_store.py: two nodes under load, and what may happen to them.

Each test reads the whole log back and holds it against the clients' journal.
"""

import pytest

from tests.crash.faults import survive_cuts, survive_full_disk, survive_moved_clock
from tests.crash.kills import Kills, survive


def test_kills_lose_nothing_that_was_acknowledged() -> None:
    verdict = survive(Kills(nodes=3, postgres=1, redis=1))
    assert verdict.acknowledged >= 50


@pytest.mark.parametrize("part", ["data", "wal"])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_written(part: str) -> None:
    survive_full_disk(part, times=1)


def test_a_clock_that_jumps_by_an_hour_disturbs_nothing() -> None:
    survive_moved_clock(times=1)


def test_a_connection_cut_in_mid_transaction_leaves_nothing_half_written() -> None:
    survive_cuts(times=10)
