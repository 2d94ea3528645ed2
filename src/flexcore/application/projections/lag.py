"""How far the read models are behind the log, seen from any node."""

import asyncio
from collections.abc import Mapping
from typing import Final

from flexcore.application.projections.ports import EventFeed, GenerationStatus, ProjectionStore
from flexcore.domain.errors import Unavailable

LOOK_SECONDS: Final = 2.0


class ProjectionLag:
    """Looks now and then, so that reading the figures never waits for the database.

    It asks PostgreSQL and not the projector: the figures also tell when no node runs one.
    """

    def __init__(self, feed: EventFeed, store: ProjectionStore) -> None:
        self._feed = feed
        self._store = store
        self._lag: Mapping[str, int] = {}

    @property
    def events(self) -> Mapping[str, int]:
        """Events behind the log by read model, as of the last look; empty while PostgreSQL does not answer."""
        return self._lag

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                self._lag = await self._look()
            except Unavailable:
                self._lag = {}
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> Mapping[str, int]:
        # Positions first: a read model can't be ahead of a head that was read later.
        generations = await self._store.generations()
        head = await self._feed.head()
        return {
            generation.name: max(head - generation.position, 0)
            for generation in generations
            if generation.status is GenerationStatus.LIVE
        }
