"""Waits until a read model reflects what was in the log when the question came."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from flexcore.application.background import CANCELLATION_SECONDS, cancel
from flexcore.application.projections.follower import Follower
from flexcore.application.projections.ports import EventFeed, ProjectionStore, Superseded
from flexcore.application.projections.projection import Projection
from flexcore.domain.errors import Unavailable

LONGEST_WAIT_SECONDS: Final = 1.0
# With no sign of a projector for so long, this node does its work.
HELP_SECONDS: Final = 0.3
# While a read model stands still, not every query pays for it with the whole wait.
LATE_SECONDS: Final = 5.0
WAIT_WHILE_LATE_SECONDS: Final = 0.05
FIRST_LOOK_SECONDS: Final = 0.004
LAST_LOOK_SECONDS: Final = 0.05

_logger = logging.getLogger("flexcore.projections")


class Freshness:
    """Lets a query see every event that was recorded before it, so that callers see what they did themselves.

    `nudge` tells whoever runs the projections that someone waits; it never blocks.
    """

    def __init__(self, feed: EventFeed, store: ProjectionStore, nudge: Callable[[], None]) -> None:
        self._feed = feed
        self._store = store
        self._nudge = nudge
        self._late: dict[str, float] = {}
        self._helping: dict[str, asyncio.Task[None]] = {}

    async def reach(self, projection: Projection[Any]) -> bool:
        """Wait for `projection`, at most LONGEST_WAIT_SECONDS; False if it is still behind. Raises Unavailable.

        A query then answers with what there is: late figures serve better than none.
        """
        target, position = await self._store.freshness(projection)
        if position < target:
            self._nudge()
            position = await self._wait(projection, target, position)
        if position >= target:
            self._late.pop(projection.name, None)
            return True
        if projection.name not in self._late:
            _logger.warning("%s is %d events behind; its figures are late", projection.name, target - position)
        self._late[projection.name] = time.monotonic()
        return False

    async def close(self) -> None:
        """End what this node does in place of a projector."""
        await cancel(self._helping.values(), CANCELLATION_SECONDS)

    async def _wait(self, projection: Projection[Any], target: int, first: int) -> int:
        start, pause, position = time.monotonic(), FIRST_LOOK_SECONDS, first
        late_since = self._late.get(projection.name)
        late = late_since is not None and start - late_since < LATE_SECONDS
        longest = WAIT_WHILE_LATE_SECONDS if late else LONGEST_WAIT_SECONDS
        while position < target and (waited := time.monotonic() - start) < longest:
            if position == first and waited >= HELP_SECONDS:
                self._help(projection)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_LOOK_SECONDS)
            _, position = await self._store.freshness(projection)
        return position

    def _help(self, projection: Projection[Any]) -> None:
        """Follow the log once in place of a projector; it goes on also when nobody waits for it any more."""
        running = self._helping.get(projection.name)
        if running is None or running.done():
            self._helping[projection.name] = asyncio.create_task(
                self._follow(projection), name=f"help with {projection.name}"
            )

    async def _follow(self, projection: Projection[Any]) -> None:
        try:
            live = await self._store.live(projection)
            if live.version == projection.version:
                follower = Follower(projection, live, self._feed, self._store)
                await follower.catch_up()
                await follower.settle()
        except (Superseded, Unavailable) as error:
            _logger.debug("%s: %s", projection.name, error)
        except Exception:
            _logger.exception("%s stands still", projection.name)
