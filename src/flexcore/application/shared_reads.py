"""Reads that many callers want at the same moment, made once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SharedReads(Generic[Value]):
    """Gives everybody what `read` finds once they have asked, never what it found before.

    Who asks while a read of the same key is under way may be later than what it finds, and waits for the next one, as
    all do who ask meanwhile: however many callers there are, at most two reads of a key are begun or waited for.
    """

    def __init__(self, read: Callable[[str], Awaitable[Value]]) -> None:
        self._read = read
        self._next: dict[str, asyncio.Task[Value]] = {}
        self._under_way: dict[str, asyncio.Task[Value]] = {}

    async def of(self, key: str) -> Value:
        """Read `key`; raises what `read` raises. The value is shared: nobody may change it."""
        reading = self._next.get(key)
        if reading is None:
            reading = self._next[key] = asyncio.create_task(self._one(key), name=f"shared read of {key}")
        # A caller that goes away takes nothing from the others.
        return await asyncio.shield(reading)

    async def _one(self, key: str) -> Value:
        if (before := self._under_way.get(key)) is not None:
            await asyncio.wait({before})
        self._under_way[key] = self._next.pop(key)
        try:
            return await self._read(key)
        finally:
            del self._under_way[key]
