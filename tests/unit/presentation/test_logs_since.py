"""`since` of the logs routes."""

from datetime import UTC, datetime, timedelta

import pytest

from flexcore.domain.errors import InvalidInput
from flexcore.presentation.http.routes.logs import parse_since

NOW = datetime(2025, 8, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("5m", NOW - timedelta(minutes=5)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        ("999999999d", datetime.min.replace(tzinfo=UTC)),
        ("2025-08-01T11:00:00Z", NOW - timedelta(hours=1)),
        ("2025-08-01T13:00:00.5+02:00", NOW - timedelta(minutes=60) + timedelta(milliseconds=500)),
    ],
)
def test_a_time_or_an_age(text: str, expected: datetime) -> None:
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5w", "1.5h", "yesterday", "2025-08-01", "2025-08-01T11:00:00"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^since must be an RFC 3339 time"):
        parse_since(text, NOW)
