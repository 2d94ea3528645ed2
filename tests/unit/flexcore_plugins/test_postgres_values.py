"""Values on their way between JSON and PostgreSQL."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from flexcore_plugins.postgres_processor.values import to_json, to_postgres

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    ("value", "kind", "given"),
    [
        (None, "int4", None),
        (3, "int8", 3),
        (3.0, "int4", 3),
        (1.5, "float8", 1.5),
        ("0.10", "numeric", Decimal("0.10")),
        (0.1, "numeric", Decimal("0.1")),
        (True, "bool", True),
        ("x", "text", "x"),
        ("AP8=", "bytea", b"\x00\xff"),
        (ID, "uuid", UUID(ID)),
        ("2024-01-31", "date", date(2024, 1, 31)),
        ("12:30", "time", time(12, 30)),
        ("2024-01-31T12:30:00", "timestamp", datetime(2024, 1, 31, 12, 30)),
        ("2024-01-31T12:30:00Z", "timestamptz", datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
        ("2024-01-31T12:30:00", "timestamptz", datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
        (1.5, "interval", timedelta(seconds=1.5)),
        ({"a": [1]}, "jsonb", {"a": [1]}),
        ([1, None], "int4[]", [1, None]),
        ([["a"], ["b"]], "text[]", [["a"], ["b"]]),
        ("10.0.0.1", "inet", "10.0.0.1"),
        ("happy", "mood", "happy"),
    ],
)
def test_json_to_postgres(value: Any, kind: str, given: Any) -> None:
    converted = to_postgres(value, kind)
    assert converted == given
    assert type(converted) is type(given)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("3", "int4", "must be a whole number for the type int4"),
        (1.5, "int4", "must be a whole number"),
        (True, "int4", "must be a whole number"),
        ("1", "float8", "must be a number"),
        ("abc", "numeric", "must be a number, or a string of one"),
        (1, "bool", "must be true or false"),
        (1, "text", "must be a string for the type text"),
        ("?", "bytea", "must be base64"),
        ("x", "uuid", "must be a UUID"),
        ("yesterday", "date", "must be a date such as 2024-01-31"),
        ("2024-01-31T12:30:00Z", "timestamp", "must be a time without a zone"),
        (1, "timestamptz", "must be a time such as"),
        ("1 day", "interval", "must be a number of seconds"),
        (1, "int4[]", "must be an array for the type int4[]"),
        (["x"], "int4[]", "must be a whole number for the type int4"),
        (1, "inet", "must be a string for the type inet"),
    ],
)
def test_what_does_not_fit_a_type(value: Any, kind: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at below
        to_postgres(value, kind)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (None, None),
        (True, True),
        (10**20, 10**20),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1.50"), "1.50"),
        (datetime(2024, 1, 31, 12, 30, tzinfo=UTC), "2024-01-31T12:30:00Z"),
        (datetime(2024, 1, 31, 12, 30), "2024-01-31T12:30:00"),
        (date(2024, 1, 31), "2024-01-31"),
        (time(12, 30), "12:30:00"),
        (timedelta(hours=1), 3600.0),
        (b"\x00\xff", "AP8="),
        (UUID(ID), ID),
        (ip_address("10.0.0.1"), "10.0.0.1"),
        ([Decimal(1), [None]], ["1", [None]]),
        ({"a": b"x"}, {"a": "eA=="}),
        (
            asyncpg.Range(1, 5),
            {"lower": 1, "upper": 5, "lower_included": True, "upper_included": False},
        ),
        (asyncpg.Range(empty=True), {"empty": True}),
        (asyncpg.BitString("0101"), "0101"),
    ],
)
def test_postgres_to_json(value: Any, given: Any) -> None:
    assert to_json(value) == given
