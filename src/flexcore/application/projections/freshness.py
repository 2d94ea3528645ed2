"""Waits until a read model reflects what was in the log when the question came."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from flexcore.application.projections.ports import ProjectionStore
from flexcore.application.projections.projection import Projection

LONGEST_WAIT_SECONDS: Final = 1.0
FIRST_LOOK_SECONDS: Final = 0.004
LAST_LOOK_SECONDS: Final = 0.05

_log = logging.getLogger("flexcore.projections")


class Freshness:
    """Lets a query see every event that was recorded before it, so that callers see what they did themselves.

    `nudge` tells whoever runs the projections that someone waits; it never blocks.
    """

    def __init__(self, store: ProjectionStore, nudge: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._nudge = nudge

    async def reach(self, projection: Projection[Any], seconds: float = LONGEST_WAIT_SECONDS) -> bool:
        """Wait for `projection`; False if it is still behind after `seconds`. Raises Unavailable.

        A query then answers with what there is: late figures serve better than none.
        """
        target, position = await self._store.freshness(projection)
        deadline, pause = time.monotonic() + seconds, FIRST_LOOK_SECONDS
        while position < target:
            if time.monotonic() >= deadline:
                _log.warning("%s is %d events behind; its figures are late", projection.name, target - position)
                return False
            self._nudge()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_LOOK_SECONDS)
            _, position = await self._store.freshness(projection)
        return True
