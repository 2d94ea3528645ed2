"""Everything about the event log, joined: appending, following, verifying, signing its end."""

import logging
from typing import Final

from flexcore.application.background import Background
from flexcore.application.checkpoints import Checkpointer
from flexcore.application.events import Events
from flexcore.application.feed import Feed
from flexcore.application.ports import Appended, Clock, LiveChannel, NewId
from flexcore.application.verification import Verifier
from flexcore.infrastructure.checkpoints import CheckpointFile, NoCheckpoints
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.stored_chain import PostgresStoredChain

SERVING_PAGE: Final = 1000
"""Events that a verification in the server looks at in one go, which holds up its requests for some milliseconds."""
_NEWS: Final = "events"

_logger = logging.getLogger("flexcore.server")


class EventServices:
    """The event log as one node uses it. Without `checkpoints` its end is not signed."""

    def __init__(
        self, *, database: Database, checkpoints: CheckpointFile | None, clock: Clock, new_id: NewId, node_id: str
    ) -> None:
        stored = PostgresStoredChain(database, page=SERVING_PAGE)
        self.store = PostgresEventStore(database)
        self.events = Events(self.store, new_id)
        self.feed = Feed(self.store)
        self.verifier = Verifier(stored, checkpoints or NoCheckpoints())
        self._checkpointer = None
        if checkpoints is not None:
            self._checkpointer = Checkpointer(stored, checkpoints, node_id=node_id, clock=clock)
        self._background = Background()

    def join(self, channel: LiveChannel) -> None:
        """Wake those who follow the log, on all nodes, when something was appended here, and here when elsewhere."""

        def tell(appended: Appended) -> None:
            if appended.events:
                channel.publish(_NEWS, position=appended.events[-1].position)

        self.events.listen(tell)
        channel.subscribe(_NEWS, lambda _: self.feed.wake())

    def start(self) -> None:
        """Begin to sign."""
        if self._checkpointer is None:
            _logger.warning("no state_directory is set, so no checkpoints of the event log are signed")
        else:
            self._background.run("checkpointer", self._checkpointer.run)

    async def close(self) -> None:
        """Stop signing."""
        await self._background.close()
