"""The sandbox's long proof: thousands of executions, good and bad, while what runs them is killed again and again.

It prints what it found; the seed of the order is the one that pytest prints first.
"""

import pytest

from tests.soak.sandbox_load import Load


def test_executions(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Load(seconds=100, kill_every_seconds=3).survive()
    with capsys.disabled():
        print(f"\nSOAK {verdict}", flush=True)  # noqa: T201 - the figures are what a soak is for
