"""Which log records are wanted, the same for every source."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    """At most ``lines`` records of ``level`` or more severe, not older than ``since`` (UTC)."""

    lines: int = 100
    level: str | None = None
    since: datetime | None = None

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the HTTP route."""
        wanted = {"lines": str(self.lines), "level": self.level, "since": rfc3339(self.since) if self.since else None}
        return {name: value for name, value in wanted.items() if value is not None}

    def matches(self, record: LogRecord) -> bool:
        """Whether ``record`` is wanted; one without a level or time is, since nothing says it is not."""
        if self.level and record.level and LEVELS.index(record.level) < LEVELS.index(self.level):
            return False
        return not (self.since and record.timestamp and parse_rfc3339(record.timestamp) < self.since)

    def select(self, records: Iterable[LogRecord]) -> list[LogRecord]:
        """Return the wanted ones among ``records``, which are in order, newest last."""
        return [record for record in records if self.matches(record)][-self.lines :]


def log_query(lines: int, level: str | None, since: str | None, now: datetime) -> LogQuery:
    """Build a query from options; raises InputError that names the option and what is allowed."""
    if not 1 <= lines <= MOST_LINES:
        raise InputError(f"lines is {lines}: allowed are 1 to {MOST_LINES}")
    if level is not None and level not in LEVELS:
        raise InputError(f"level is {level!r}: allowed are {', '.join(LEVELS)}")
    return LogQuery(lines, level, None if since is None else parse_since(since, now))


def parse_since(text: str, now: datetime) -> datetime:
    """Read an RFC 3339 time, or an age such as 30s, 15m, 2h or 1d counted back from ``now``."""
    try:
        age = AGE.fullmatch(text.strip())
        return now - timedelta(**{UNIT[age[2]]: int(age[1])}) if age else parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise InputError(
            f"since is {text!r}: allowed are a time such as 2025-08-01T12:00:00Z, or an age such as 30s, 15m, 2h or 1d"
        ) from None
