"""Which records are wanted is one question, whether a server, a journal or a file is asked."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flexcore_client.errors import InputError
from flexcore_client.log_query import MOST_LINES, LogQuery, log_query
from flexcore_client.models import LogRecord

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TEN = datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_every_option_becomes_part_of_the_query() -> None:
    query = log_query(7, "error", " 2h ", NOW, until="90m", component="jobs", pattern="a+b")
    until = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    assert query == LogQuery(7, "error", TEN, until, "jobs", re.compile("a+b"))
    assert log_query(1, None, None, NOW) == LogQuery(1)
    assert log_query(MOST_LINES, None, None, NOW).lines == MOST_LINES
    assert log_query(1, None, "2h", NOW, until="2h").until == TEN


AGES = "a time such as 2025-08-01T12:00:00Z, or an age such as 30s, 15m, 2h or 1d"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lines": 0}, "lines is 0: allowed are 1 to 10000"),
        ({"lines": 10_001}, "lines is 10001: allowed are 1 to 10000"),
        ({"level": "loud"}, "level is 'loud': allowed are debug, info, warning, error, critical"),
        ({"since": "yesterday"}, f"since is 'yesterday': allowed are {AGES}"),
        ({"since": "999999999d"}, f"since is '999999999d': allowed are {AGES}"),
        ({"until": "2 hours"}, f"until is '2 hours': allowed are {AGES}"),
        ({"since": "1h", "until": "2h"}, "until is '2h', which is before since, '1h': allowed is a later time"),
        (
            {"pattern": "a("},
            "pattern is 'a(': it is no regular expression (missing ), unterminated subpattern at position 1)",
        ),
    ],
)
def test_an_option_that_is_wrong_is_named_with_what_is_allowed(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        log_query(**{"lines": 1, "level": None, "since": None, "now": NOW, **options})
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (LogQuery(), {"lines": "100"}),
        (
            LogQuery(5, "error", TEN, component="jobs"),
            {"lines": "5", "level": "error", "since": "2026-11-20T10:00:00.000Z", "component": "jobs"},
        ),
        (LogQuery(5, until=TEN), {"lines": "10000"}),
        (LogQuery(5, pattern=re.compile("a")), {"lines": "10000"}),
    ],
)
def test_a_server_is_asked_for_all_it_gives_where_it_cannot_choose_itself(
    query: LogQuery, parameters: dict[str, str]
) -> None:
    assert query.parameters() == parameters


def record(**fields: Any) -> LogRecord:
    return LogRecord(
        **{"timestamp": "2026-11-20T10:00:00.000Z", "level": "warning", "message": "a said", "component": "jobs"}
        | fields
    )


@pytest.mark.parametrize(
    ("query", "fields", "wanted"),
    [
        (LogQuery(), {}, True),
        (LogQuery(level="warning"), {}, True),
        (LogQuery(level="info"), {}, True),
        (LogQuery(level="error"), {}, False),
        (LogQuery(level="error"), {"level": None}, True),
        (LogQuery(component="jobs"), {}, True),
        (LogQuery(component="http"), {}, False),
        (LogQuery(component="jobs"), {"component": None}, False),
        (LogQuery(since=TEN, until=TEN), {}, True),
        (LogQuery(since=NOW), {}, False),
        (LogQuery(until=TEN), {"timestamp": "2026-11-20T10:00:00.001Z"}, False),
        (LogQuery(since=NOW), {"timestamp": None}, True),
        (LogQuery(since=TEN), {"timestamp": "2026-11-20T10:00:00.001Z"}, True),
        (LogQuery(until=TEN), {"timestamp": "2026-11-20T09:59:59.999Z"}, True),
        (LogQuery(level="info", component="http"), {}, False),
        (LogQuery(since=TEN, pattern=re.compile("other")), {}, False),
        (LogQuery(pattern=re.compile("sa.d")), {}, True),
        (LogQuery(pattern=re.compile("^4.1$")), {"fields": {"path": "/x", "status": 401}}, True),
        (LogQuery(pattern=re.compile("status")), {"fields": {"status": 401}}, False),
    ],
)
def test_which_records_are_wanted(query: LogQuery, fields: dict[str, Any], wanted: bool) -> None:
    assert query.matches(record(**fields)) is wanted


def test_the_newest_of_the_wanted_ones_are_selected() -> None:
    records = [record(message=f"m{number}", level=("info", "error")[number % 2]) for number in range(10)]
    assert [found.message for found in LogQuery(2, "error").select(iter(records))] == ["m7", "m9"]
