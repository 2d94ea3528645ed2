"""Runs the projections: follows the log while it grows, and never stops for good."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from flexcore.application.projections.follower import Follower
from flexcore.application.projections.ports import EventFeed, Generation, ProjectionStore, Superseded
from flexcore.application.projections.projection import Projection
from flexcore.application.projections.rebuild import discard_leftovers, rebuild
from flexcore.domain.errors import Conflict, FlexCoreError, LeadershipLost, Unavailable

# Between two looks while nobody waits: a log that grows without pause is then read in larger pages.
REST_SECONDS: Final = 0.1
POLL_SECONDS: Final = 0.25
FIRST_RETRY_SECONDS: Final = 0.1
LAST_RETRY_SECONDS: Final = 15.0

_logger = logging.getLogger("flexcore.projections")


class Projector:
    """Keeps the live generation of every projection at the head of the log.

    Meant for one node at a time, the leader. Two that run at once only get into each other's way, because each page is
    written on the condition that nobody wrote it before.
    """

    def __init__(self, projections: Iterable[Projection[Any]], feed: EventFeed, store: ProjectionStore) -> None:
        self._projections = tuple(projections)
        self._feed = feed
        self._store = store
        self._woken = {projection.name: asyncio.Event() for projection in self._projections}
        self._nudged = {projection.name: asyncio.Event() for projection in self._projections}

    def wake(self) -> None:
        """Tell that events were appended; a wake-up that gets lost costs POLL_SECONDS."""
        for woken in self._woken.values():
            woken.set()

    def nudge(self) -> None:
        """Tell that a query waits: look at once."""
        for nudged in self._nudged.values():
            nudged.set()
        self.wake()

    async def run(self, token: int | None = None) -> None:
        """Follow the log until cancelled; `token` is the leader's fencing token. Raises LeadershipLost."""
        try:
            async with asyncio.TaskGroup() as group:
                for projection in self._projections:
                    group.create_task(self._keep(projection, token), name=f"projection {projection.name}")
        except ExceptionGroup as lost:
            # Each of them ends for one reason only.
            raise lost.exceptions[0] from None

    async def _keep(self, projection: Projection[Any], token: int | None) -> None:
        trouble = _Trouble(projection.name)
        while True:
            live: Generation | None = None
            try:
                live = await self._store.live(projection)
                await self._follow(projection, live, token, trouble)
            except LeadershipLost:
                raise
            except (Superseded, Conflict) as error:
                trouble.say(logging.INFO, error)
            except Unavailable as error:
                trouble.say(logging.WARNING, error)
            except Exception as error:  # noqa: BLE001 - said in full; ending here would leave the figures late for ever
                # A defect of a fold, or a row that its table refuses.
                trouble.say(logging.ERROR, error)
                await self._note(live, error)
            await asyncio.sleep(trouble.delay())

    async def _follow(
        self, projection: Projection[Any], live: Generation, token: int | None, trouble: "_Trouble"
    ) -> None:
        if live.version > projection.version:
            raise Superseded(f"version {live.version} is a newer release's, this one knows {projection.version}")
        if live.version < projection.version:
            _logger.info("%s changed in this release; building it anew", projection.name)
            live = await rebuild(projection, self._feed, self._store, token=token)
        else:
            with suppress(Conflict):
                await discard_leftovers(projection, self._store)
        follower = Follower(projection, live, self._feed, self._store, token=token)
        while True:
            await follower.catch_up()
            trouble.over()
            await self._pause(projection.name)

    async def _pause(self, name: str) -> None:
        woken, nudged = self._woken[name], self._nudged[name]
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                await nudged.wait()
            nudged.clear()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS - REST_SECONDS):
                await woken.wait()
        woken.clear()
        nudged.clear()

    async def _note(self, generation: Generation | None, error: Exception) -> None:
        if generation is not None:
            with suppress(FlexCoreError):
                await self._store.fail(generation, f"{type(error).__name__}: {error}")


class _Trouble:
    """What keeps a projection from going on: said once for each cause, with longer and longer pauses."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = ""
        self._next = FIRST_RETRY_SECONDS

    def say(self, level: int, error: Exception) -> None:
        if self._said != (text := str(error)):
            defect = error if level >= logging.ERROR else None
            _logger.log(level, "%s stands still: %s; trying on", self._name, text, exc_info=defect)
        self._said = text

    def delay(self) -> float:
        delay, self._next = self._next, min(self._next * 2, LAST_RETRY_SECONDS)
        return delay

    def over(self) -> None:
        self._said, self._next = "", FIRST_RETRY_SECONDS
