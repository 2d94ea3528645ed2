"""Following the latest log records."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from flexcore.application.background import wait_at_most
from flexcore.application.logs import LogNews, LogQuery
from flexcore.domain.errors import TooBusy
from flexcore.infrastructure.telemetry.log_buffer import LogBuffer, matching

PAGE: Final = 200
POLL_SECONDS: Final = 1.0
MOST_FOLLOWERS: Final = 50


class BufferedLogFeed:
    """Gives every follower what the buffer has for it. One that is slow misses records, and holds up nobody."""

    def __init__(self, buffer: LogBuffer) -> None:
        self._buffer = buffer
        self._followers = 0

    def follow(self, query: LogQuery) -> AsyncIterator[LogNews]:
        """Give what comes after the query's cursor, or from now on; raises InvalidInput, TooBusy."""
        if self._followers >= MOST_FOLLOWERS:
            raise TooBusy(f"{MOST_FOLLOWERS} clients follow the log of this node already", retry_after_seconds=5)
        buffer = self._buffer
        after = buffer.last if query.cursor is None else min(buffer.position(query.cursor), buffer.last)
        return self._follow(query, after)

    async def _follow(self, query: LogQuery, after: int) -> AsyncIterator[LogNews]:
        loop, waker = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not waker.is_set():
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(waker.set)

        self._followers += 1
        end = self._buffer.listen(wake)
        try:
            while True:
                waker.clear()
                found = self._buffer.after(after, PAGE)
                if not found:
                    await wait_at_most(waker, POLL_SECONDS)
                    yield LogNews(())
                    continue
                missed = found[0][0] - after - 1
                after = found[-1][0]
                records = [(self._buffer.cursor(number), record) for number, record in matching(found, query)]
                if records or missed:
                    yield LogNews(records, missed)
                else:
                    await asyncio.sleep(0)
        finally:
            end()
            self._followers -= 1
