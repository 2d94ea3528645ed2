"""What an operator does with the read models from the command line, beside the running nodes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from flexcore.application.projections import rebuild as rebuilding
from flexcore.application.projections.ports import Generation, Superseded
from flexcore.application.read_models.catalogue import PROJECTIONS
from flexcore.domain.errors import Conflict
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.projections import PostgresProjections

CONNECTIONS: Final = 3
# Nobody else waits for this process, so its pages may be larger than a server's.
PAGE_EVENTS: Final = 5000


async def generations(access: PostgresAccess, node_id: str) -> tuple[list[Generation], int]:
    """All generations, and the position of the newest event; raises Unavailable."""
    async with _opened(access, node_id) as database:
        return await PostgresProjections(database).generations(), await PostgresEventStore(database).head()


async def rebuild(access: PostgresAccess, node_id: str, name: str, progress: Callable[[int, int], None]) -> int:
    """Build the read model `name` anew and return the position it reached; raises Conflict, Unavailable.

    `progress` is told the position after each page, and that of the newest event at the start.
    """
    async with _opened(access, node_id) as database:
        feed, store = PostgresEventStore(database), PostgresProjections(database)
        head = await feed.head()
        try:
            built = await rebuilding.rebuild(
                PROJECTIONS[name],
                feed,
                store,
                page_events=PAGE_EVENTS,
                progress=lambda position: progress(position, head),
            )
        except Superseded as error:
            raise Conflict(f"{error}; look with 'flexcore projections list' and try again") from error
        return built.position


@asynccontextmanager
async def _opened(access: PostgresAccess, node_id: str) -> AsyncIterator[Database]:
    database = Database(access, node_id=node_id, connections=CONNECTIONS)
    await database.connect()
    try:
        yield database
    finally:
        await database.close()
