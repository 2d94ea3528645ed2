"""Which log records are wanted, the same for every source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from .clock import rfc3339
from .errors import InputError
from .models import LogRecord
from .normalise import LEVELS, parse_rfc3339

MOST_LINES = 10_000
AGE = re.compile(r"(\d{1,9})([smhd])")
UNIT = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class LogQuery:
    """At most ``lines`` records of ``level`` or more severe, of ``component``, from ``since`` to ``until`` (UTC).

    ``pattern`` has to occur in the message or in a field.
    """

    lines: int = 100
    level: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    component: str | None = None
    pattern: re.Pattern[str] | None = None

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the HTTP route, which knows neither ``until`` nor ``pattern``.

        With one of those it is asked for as many records as it gives, because only some of them will be wanted.
        """
        wanted = {
            "lines": str(MOST_LINES if self.until or self.pattern else self.lines),
            "level": self.level,
            "component": self.component,
            "since": rfc3339(self.since) if self.since else None,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def matches(self, record: LogRecord) -> bool:
        """Whether ``record`` is wanted; one without a level or time is, since nothing says it is not."""
        if self.level and record.level and LEVELS.index(record.level) < LEVELS.index(self.level):
            return False
        if self.component is not None and record.component != self.component:
            return False
        if record.timestamp and (self.since or self.until):
            moment = parse_rfc3339(record.timestamp)
            if (self.since and moment < self.since) or (self.until and moment > self.until):
                return False
        return self.pattern is None or any(self.pattern.search(text) for text in _texts(record))

    def select(self, records: Iterable[LogRecord]) -> list[LogRecord]:
        """Return the wanted ones among ``records``, which are in order, newest last."""
        return [record for record in records if self.matches(record)][-self.lines :]


def log_query(
    lines: int,
    level: str | None,
    since: str | None,
    now: datetime,
    *,
    until: str | None = None,
    component: str | None = None,
    pattern: str | None = None,
) -> LogQuery:
    """Build a query from options; raises InputError that names the option and what is allowed."""
    if not 1 <= lines <= MOST_LINES:
        raise InputError(f"lines is {lines}: allowed are 1 to {MOST_LINES}")
    if level is not None and level not in LEVELS:
        raise InputError(f"level is {level!r}: allowed are {', '.join(LEVELS)}")
    begin = None if since is None else parse_moment("since", since, now)
    end = None if until is None else parse_moment("until", until, now)
    if begin and end and end < begin:
        raise InputError(f"until is {until!r}, which is before since, {since!r}: allowed is a later time")
    try:
        wanted = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(f"pattern is {pattern!r}: it is no regular expression ({error})") from None
    return LogQuery(lines, level, begin, end, component, wanted)


def _texts(record: LogRecord) -> Iterator[str]:
    yield record.message
    yield from map(str, record.fields.values())


def parse_moment(option: str, text: str, now: datetime) -> datetime:
    """Read an RFC 3339 time, or an age such as 30s, 15m, 2h or 1d counted back from ``now``."""
    try:
        age = AGE.fullmatch(text.strip())
        return now - timedelta(**{UNIT[age[2]]: int(age[1])}) if age else parse_rfc3339(text)
    except (ValueError, OverflowError):
        allowed = "a time such as 2025-08-01T12:00:00Z, or an age such as 30s, 15m, 2h or 1d"
        raise InputError(f"{option} is {text!r}: allowed are {allowed}") from None
