"""Tasks that run beside the requests for as long as the node does."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

RESTART_SECONDS: Final = 1.0
CANCELLATION_SECONDS: Final = 5.0
_CANCEL_AGAIN_SECONDS: Final = 0.5

_logger = logging.getLogger("flexcore.background")


class Background:
    """Runs loops until `close`. One that fails, which is a defect, says so in the log and is started again."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Start `loop`, which is not expected to return."""
        self._tasks.append(asyncio.create_task(_forever(name, loop), name=name))

    async def close(self) -> None:
        """Cancel everything and wait for its end."""
        tasks, self._tasks = self._tasks, []
        for task in await cancel(tasks, CANCELLATION_SECONDS):
            _logger.error("%s does not end", task.get_name())


async def cancel(tasks: Iterable[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """Cancel `tasks` and wait for their end; returns those that have not ended after `seconds`."""
    running = {task for task in tasks if not task.done()}
    deadline = time.monotonic() + seconds
    while running and (left := deadline - time.monotonic()) > 0:
        for task in running:
            # More than once: asyncio.wait_for in Python 3.11, which libraries use, can lose a cancellation.
            task.cancel()
        _, running = await asyncio.wait(running, timeout=min(left, _CANCEL_AGAIN_SECONDS))
    return running


async def _forever(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except Exception:
            _logger.exception("%s failed unexpectedly and is started again", name)
        await asyncio.sleep(RESTART_SECONDS)


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, and clear it, or for `seconds` to pass."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()
