"""The pauses between attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexcore.domain.retry import RetryPolicy

POLICY = RetryPolicy(max_attempts=6, initial_backoff_ms=100, max_backoff_ms=1000, multiplier=3, jitter=0)


def test_each_pause_is_longer_than_the_one_before_up_to_the_limit() -> None:
    assert [POLICY.backoff_ms(attempt, 0.5) for attempt in range(1, 7)] == [100, 300, 900, 1000, 1000, None]


@pytest.mark.parametrize(("draw", "pause"), [(0.0, 100), (0.5, 90), (1.0, 80)])
def test_jitter_shortens_a_pause_by_its_part(draw: float, pause: int) -> None:
    policy = RetryPolicy(initial_backoff_ms=100, jitter=0.2)
    assert policy.backoff_ms(1, draw) == pause


@given(
    st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 100),
        initial_backoff_ms=st.integers(0, 1000),
        max_backoff_ms=st.integers(1000, 86_400_000),
        multiplier=st.floats(1, 10),
        jitter=st.floats(0, 1),
    ),
    st.integers(1, 120),
    st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_bounded_and_there_is_none_after_the_last_attempt(
    policy: RetryPolicy, attempt: int, draw: float
) -> None:
    assert policy.problems("retry") == []
    pause = policy.backoff_ms(attempt, draw)
    assert (pause is None) == (attempt >= policy.max_attempts)
    if pause is not None:
        longest = policy.backoff_ms(attempt, 0.0)
        assert longest is not None
        assert 0 <= pause <= longest <= policy.max_backoff_ms


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (RetryPolicy(max_attempts=0), "max_attempts"),
        (RetryPolicy(max_attempts=101), "max_attempts"),
        (RetryPolicy(initial_backoff_ms=-1), "initial_backoff_ms"),
        (RetryPolicy(initial_backoff_ms=500, max_backoff_ms=499), "max_backoff_ms"),
        (RetryPolicy(multiplier=0.9), "multiplier"),
        (RetryPolicy(multiplier=float("nan")), "multiplier"),
        (RetryPolicy(jitter=1.1), "jitter"),
    ],
)
def test_what_makes_no_sense_is_named(policy: RetryPolicy, field: str) -> None:
    assert [error.field for error in policy.problems("retry")] == [f"retry.{field}"]
