"""Moves one generation of a read model along the log, page by page."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic

from flexcore.application.projections.ports import EventFeed, Generation, ProjectionStore
from flexcore.application.projections.projection import Projection, Row, by_row, fold
from flexcore.domain.events import RecordedEvent

PAGE_EVENTS: Final = 1000
# A page covers more positions while most of them are of others' events.
WIDEST_PAGE: Final = 16
# How long a position that no row depends on may stay unwritten.
LAZY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Page:
    """Events in their order; the log holds no other of the projection's up to `position`."""

    events: list[RecordedEvent]
    position: int


class Follower(Generic[Row]):
    """Moves one generation of one projection along the log.

    `token` is the leader's fencing token, None for whoever needs no leadership.
    """

    def __init__(
        self,
        projection: Projection[Row],
        generation: Generation,
        feed: EventFeed,
        store: ProjectionStore,
        *,
        token: int | None = None,
        page_events: int = PAGE_EVENTS,
        progress: Callable[[int], None] = lambda position: None,
    ) -> None:
        self.generation = generation
        self._projection = projection
        self._feed = feed
        self._store = store
        self._token = token
        self._page_events = self._positions = page_events
        self._progress = progress
        # What is read may be ahead of what is written: events that change no row need no write of their own.
        self._read = generation.position
        self._written_at = time.monotonic()

    async def catch_up(self) -> bool:
        """Fold everything up to the present head of the log; True if any row changed.

        Raises Superseded, LeadershipLost, Unavailable; whatever was not written is read again by the next follower.
        """
        head = await self._feed.head()
        changed = False
        if head <= self._read:
            await self._settle_when_due()
            return changed
        upcoming = asyncio.ensure_future(self._page(self._read, head))
        try:
            while True:
                page = await upcoming
                at_end = page.position >= head
                if not at_end:
                    # PostgreSQL prepares the next page while this one is folded and written.
                    upcoming = asyncio.ensure_future(self._page(page.position, head))
                changed |= await self._take(page)
                if at_end:
                    return changed
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)

    async def settle(self) -> None:
        """Write the position that was read; raises Superseded, LeadershipLost, Unavailable."""
        if self._read > self.generation.position:
            await self._advance(self._read, {}, {})

    async def _settle_when_due(self) -> None:
        if time.monotonic() - self._written_at >= LAZY_SECONDS:
            await self.settle()

    async def _page(self, after: int, head: int) -> _Page:
        positions = self._positions
        events = await self._feed.feed(after, positions, self._projection.aggregate_types)
        if events and events[0].position <= after:
            # Folded already; counters would count it twice.
            events = [event for event in events if event.position > after]
        if len(events) > self._page_events:
            self._positions = self._page_events
        elif len(events) * 2 <= self._page_events:
            self._positions = min(positions * 2, self._page_events * WIDEST_PAGE)
        known = max(head, events[-1].position) if events else head
        return _Page(events, min(after + positions, known))

    async def _take(self, page: _Page) -> bool:
        events = by_row(self._projection, page.events)
        if not events:
            self._read = page.position
            await self._settle_when_due()
            return False
        rows = await self._store.rows(self._projection, self.generation, events)
        known = set(rows)
        folded = fold(self._projection, rows, events)
        await self._advance(
            page.position,
            {key: row for key, row in folded.items() if key not in known},
            {key: row for key, row in folded.items() if key in known},
        )
        return True

    async def _advance(self, position: int, new: dict[str, Row], changed: dict[str, Row]) -> None:
        self.generation = await self._store.advance(
            self._projection, self.generation, position, new=new, changed=changed, token=self._token
        )
        self._read = position
        self._written_at = time.monotonic()
        self._progress(position)
