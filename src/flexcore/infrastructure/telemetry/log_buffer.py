"""The latest log records in memory, to be read page by page."""

import itertools
import secrets
from collections import deque
from collections.abc import Iterable
from typing import Final

from flexcore.application import cursors
from flexcore.application.logs import LEVELS, LogPage, LogQuery, LogRecord

_FEED: Final = "logs"
_RANK: Final = {level: rank for rank, level in enumerate(LEVELS)}


class LogBuffer:
    """The latest `capacity` records, for the logs routes."""

    def __init__(self, capacity: int) -> None:
        self._records: deque[tuple[int, LogRecord]] = deque(maxlen=capacity)
        self._numbers = itertools.count(1)
        # Cursors of an earlier process start over instead of pointing somewhere at random.
        self._process = secrets.token_hex(4)

    def append(self, record: LogRecord) -> None:
        """Keep `record`; the oldest one leaves when the buffer is full."""
        self._records.append((next(self._numbers), record))

    def page(self, query: LogQuery) -> LogPage:
        """Return the records asked for; raises InvalidInput for a cursor that is none."""
        records = self._records.copy()
        if query.cursor is None:
            found = list(itertools.islice(_matching(reversed(records), query), query.lines))[::-1]
            last = records[-1][0] if records else 0
            return LogPage(tuple(record for _, record in found), self._cursor(last), has_more=False)
        after = self._position(query.cursor)
        found = list(itertools.islice(_matching((item for item in records if item[0] > after), query), query.lines + 1))
        page = found[: query.lines]
        has_more = len(found) > len(page)
        last = page[-1][0] if has_more else max(after, records[-1][0] if records else 0)
        return LogPage(tuple(record for _, record in page), self._cursor(last), has_more)

    def _cursor(self, number: int) -> str:
        return cursors.encode(_FEED, f"{self._process}:{number}")

    def _position(self, cursor: str) -> int:
        process, _, number = cursors.decode_text(_FEED, cursor).partition(":")
        position = cursors.position(number)
        return position if process == self._process else 0


def _matching(records: Iterable[tuple[int, LogRecord]], query: LogQuery) -> Iterable[tuple[int, LogRecord]]:
    lowest = 0 if query.level is None else _RANK[query.level]
    for number, record in records:
        if (
            _RANK[record.level] >= lowest
            and query.component in (None, record.component)
            and query.correlation_id in (None, record.correlation_id)
            and (query.since is None or record.timestamp >= query.since)
        ):
            yield number, record
