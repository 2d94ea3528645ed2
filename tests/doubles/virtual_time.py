"""An event loop in which time passes only where nothing else can happen, and then jumps to the next timer.

Whoever is measured by its time is measured without the machine's noise: what a wait takes is what its timer says. A
wait without a timer, for something that never comes, would last for ever and is an error.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

# Real seconds in which what was sent on this machine has to arrive. Too few of them make peers look slower.
ARRIVAL_SECONDS = 0.01
LONGEST_SECONDS = 60.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at second 0; a name that is looked up in it is never found."""

    def __init__(self) -> None:
        self.passed = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.passed

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        return await self.create_future()


class LoopClock:
    """The client's clock, showing the loop's time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        immediately = timeout is not None and timeout <= 0
        ready = super().select(0 if immediately else ARRIVAL_SECONDS)
        if not ready and not immediately:
            if timeout is None:
                raise AssertionError("everything waits, and no timer will end it")
            self._loop.passed += timeout
            if self._loop.passed > LONGEST_SECONDS:
                raise AssertionError(f"this is not over after {LONGEST_SECONDS:g} s")
        return ready


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run ``work`` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
