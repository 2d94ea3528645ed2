"""The event log's long proofs: kills, full disks, jumping clocks and cut connections under load, on two nodes.

They print what they found; the seed of the order is the one that pytest prints first.
"""

import pytest

from tests.crash.faults import survive_cuts, survive_full_disk, survive_moved_clock
from tests.crash.kills import Kills, survive
from tests.crash.verdict import Verdict


def test_kills(capsys: pytest.CaptureFixture[str]) -> None:
    kills = Kills(nodes=50, postgres=10, redis=5)
    tell(capsys, f"after {kills}", survive(kills))


@pytest.mark.parametrize("part", ["data", "wal"])
def test_full_disk(capsys: pytest.CaptureFixture[str], part: str) -> None:
    tell(capsys, f"after 10 times no space left for PostgreSQL's {part}", survive_full_disk(part, times=10))


def test_moved_clock(capsys: pytest.CaptureFixture[str]) -> None:
    tell(capsys, "after 10 times an hour forth and back", survive_moved_clock(times=10))


def test_cut_connections(capsys: pytest.CaptureFixture[str]) -> None:
    tell(capsys, "after 200 cut connections", survive_cuts(times=200))


def tell(capsys: pytest.CaptureFixture[str], after: str, verdict: Verdict) -> None:
    with capsys.disabled():
        print(f"\nSOAK {after}: {verdict}", flush=True)  # noqa: T201 - the figures are what a soak is for
