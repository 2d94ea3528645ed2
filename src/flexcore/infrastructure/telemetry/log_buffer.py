"""The latest log records in memory, to be read page by page."""

import itertools
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from flexcore.application import cursors
from flexcore.application.logs import LEVELS, LogPage, LogQuery, LogRecord

_FEED: Final = "logs"
_RANK: Final = {level: rank for rank, level in enumerate(LEVELS)}


class LogBuffer:
    """The latest `capacity` records, for the logs routes."""

    def __init__(self, capacity: int) -> None:
        self._records: deque[tuple[int, LogRecord]] = deque(maxlen=capacity)
        self._last = 0
        self._appending = threading.Lock()
        self._listeners: tuple[Callable[[], None], ...] = ()
        # Cursors of an earlier process start over instead of pointing somewhere at random.
        self._process = secrets.token_hex(4)

    def append(self, record: LogRecord) -> None:
        """Keep `record`; the oldest one leaves when the buffer is full. Any thread may call this."""
        with self._appending:
            self._last += 1
            self._records.append((self._last, record))
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each record, in the thread that it comes from; call what is returned to end that."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return end

    @property
    def last(self) -> int:
        """The number of the newest record; they are counted from 1."""
        return self._last

    def after(self, number: int, limit: int) -> list[tuple[int, LogRecord]]:
        """Return up to `limit` records with their numbers, the oldest first, of those that come after `number`."""
        with self._appending:
            oldest = self._last - len(self._records) + 1
            start = max(number + 1 - oldest, 0)
            return list(itertools.islice(self._records, start, start + limit))

    def page(self, query: LogQuery) -> LogPage:
        """Return the records asked for; raises InvalidInput for a cursor that is none."""
        records = self._records.copy()
        if query.cursor is None:
            found = list(itertools.islice(matching(reversed(records), query), query.lines))[::-1]
            last = records[-1][0] if records else 0
            return LogPage(tuple(record for _, record in found), self.cursor(last), has_more=False)
        after = self.position(query.cursor)
        found = list(itertools.islice(matching((item for item in records if item[0] > after), query), query.lines + 1))
        page = found[: query.lines]
        has_more = len(found) > len(page)
        last = page[-1][0] if has_more else max(after, records[-1][0] if records else 0)
        return LogPage(tuple(record for _, record in page), self.cursor(last), has_more)

    def cursor(self, number: int) -> str:
        """Return the cursor after the record of this number."""
        return cursors.encode(_FEED, f"{self._process}:{number}")

    def position(self, cursor: str) -> int:
        """Return the number of the record that a cursor comes after; raises InvalidInput for what is no cursor."""
        process, _, number = cursors.decode_text(_FEED, cursor).partition(":")
        position = cursors.position(number)
        return position if process == self._process else 0


def matching(records: Iterable[tuple[int, LogRecord]], query: LogQuery) -> Iterable[tuple[int, LogRecord]]:
    """Give those of `records` that are asked for."""
    lowest = 0 if query.level is None else _RANK[query.level]
    for number, record in records:
        if (
            _RANK[record.level] >= lowest
            and query.component in (None, record.component)
            and query.correlation_id in (None, record.correlation_id)
            and query.plugin_id in (None, record.fields.get("plugin_id"))
            and query.execution_id in (None, record.fields.get("execution_id"))
            and (query.since is None or record.timestamp >= query.since)
        ):
            yield number, record
