"""Following the event log: every event from a position on, in order, without gap or repeat."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from flexcore.application.background import wait_at_most
from flexcore.application.ports import EventStore
from flexcore.domain.errors import TooBusy, Unavailable
from flexcore.domain.events import RecordedEvent

PAGE: Final = 200
POLL_SECONDS: Final = 1.0
MOST_FOLLOWERS: Final = 200


class Feed:
    """Wakes whoever follows when something was appended; without being woken they look once a second."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._wakers: set[asyncio.Event] = set()

    def wake(self) -> None:
        """Tell all followers that there may be new events."""
        for waker in self._wakers:
            waker.set()

    async def head(self) -> int:
        """Return the last position; raises Unavailable."""
        return await self._store.head()

    def check_room(self) -> None:
        """Raise TooBusy if nobody more can follow on this node."""
        if len(self._wakers) >= MOST_FOLLOWERS:
            raise TooBusy(f"{MOST_FOLLOWERS} clients follow the event log of this node already", retry_after_seconds=5)

    async def follow(self, after_position: int) -> AsyncIterator[list[RecordedEvent]]:
        """Give the events after a position as they come; now and then an empty list, at least once a second.

        Goes on when the database comes back after it was away.
        """
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            while True:
                waker.clear()
                events: list[RecordedEvent] = []
                with suppress(Unavailable):
                    events = await self._store.feed(after_position, PAGE)
                if events:
                    after_position = events[-1].position
                    yield events
                else:
                    await wait_at_most(waker, POLL_SECONDS)
                    yield []
        finally:
            self._wakers.discard(waker)
