"""Builds a read model anew from the whole log while the old one goes on answering."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from flexcore.application.projections.follower import PAGE_EVENTS, Follower
from flexcore.application.projections.ports import EventFeed, Generation, GenerationStatus, ProjectionStore, Superseded
from flexcore.application.projections.projection import Projection
from flexcore.domain.errors import Conflict, FlexCoreError

# A build that has not moved for so long was abandoned: whoever did it was killed.
ABANDONED_SECONDS: Final = 30.0

_logger = logging.getLogger("flexcore.projections")


async def rebuild(
    projection: Projection[Any],
    feed: EventFeed,
    store: ProjectionStore,
    *,
    token: int | None = None,
    page_events: int = PAGE_EVENTS,
    progress: Callable[[int], None] = lambda position: None,
) -> Generation:
    """Fill a new generation from the first event on, let it answer queries, and delete the old one.

    `progress` is told the position after every page. Queries see the old rows until the new ones have caught up with
    them, and never anything in between. Raises Conflict if someone else rebuilds it now, Superseded, LeadershipLost,
    Unavailable.
    """
    await discard_leftovers(projection, store)
    follower = Follower(
        projection, await store.begin(projection), feed, store, token=token, page_events=page_events, progress=progress
    )
    try:
        await _overtake(follower, store, token)
    except BaseException:
        with suppress(FlexCoreError, Superseded):
            await store.discard(follower.generation)
        raise
    _logger.info("%s was rebuilt up to event %d", projection.name, follower.generation.position)
    await discard_leftovers(projection, store)
    return follower.generation


async def _overtake(follower: Follower[Any], store: ProjectionStore, token: int | None) -> None:
    while True:
        await follower.catch_up()
        await follower.settle()
        if await store.promote(follower.generation, token):
            return


async def discard_leftovers(projection: Projection[Any], store: ProjectionStore) -> None:
    """Delete what earlier builds left behind; raises Conflict if one is still going on, Superseded, Unavailable."""
    for generation in await store.generations():
        if generation.name != projection.name or generation.status is GenerationStatus.LIVE:
            continue
        if generation.status is GenerationStatus.BUILDING and generation.idle_seconds < ABANDONED_SECONDS:
            raise Conflict(
                f"{projection.name} is being rebuilt already, at event {generation.position}; "
                f"a build that was broken off can be replaced {ABANDONED_SECONDS:.0f} s after its last step"
            )
        await store.discard(generation)
