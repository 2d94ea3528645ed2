"""Who may begin on this node: slots, a line of bounded length before them, and the end of both when it drains."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from flexcore.domain.errors import TooBusy, Unavailable

RETRY_AFTER_SECONDS: Final = 1


class Admission:
    """At most `slots` are in at once; up to `queue` wait in line for at most `queue_seconds`, first come first in.

    While `held` gives a reason, such as an operator's drain, nobody new is let in.
    """

    def __init__(
        self,
        *,
        node_id: str,
        slots: int,
        queue: int = 0,
        queue_seconds: float = 10.0,
        held: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._node_id = node_id
        self._slots = slots
        self._queue = queue
        self._queue_seconds = queue_seconds
        self._held = held
        self._active = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def slots(self) -> int:
        """How many may be in at once."""
        return self._slots

    @property
    def active(self) -> int:
        """How many are in."""
        return self._active

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @property
    def free(self) -> int:
        """How many more would be let in now; none while the node drains."""
        return 0 if self.draining else self._slots - self._active

    @property
    def draining(self) -> bool:
        """Whether everybody new is refused."""
        return self._draining or self._held() is not None

    def check_open(self) -> None:
        """Raise Unavailable while this node takes nothing new."""
        if self._draining:
            raise self._closed()
        if (reason := self._held()) is not None:
            raise Unavailable("flexcore", f"{reason}; use another node")

    async def drain(self, deadline_seconds: float) -> bool:
        """Refuse everybody new and those in line, wait for those who are in; False if some still were at the deadline.

        A deadline of 0 only looks.
        """
        self._draining = True
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_exception(self._closed())
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def slot(self, *, wait: bool = True) -> AsyncIterator[None]:
        """Hold a slot. Raises TooBusy, or Unavailable if the node drains before there is one.

        Without `wait` a full node is TooBusy at once.
        """
        self.check_open()
        if self._active < self._slots:
            self._active += 1
            self._idle.clear()
        else:
            await self._stand_in_line(self._queue if wait else 0)
        try:
            self.check_open()
            yield
        finally:
            self._leave()

    async def _stand_in_line(self, queue: int) -> None:
        """Return once a slot was handed over."""
        if len(self._line) >= queue:
            in_line = f", and {len(self._line)} more wait for one" if self._line else ""
            raise self._too_busy(f"all {self._slots} execution slots of node {self._node_id} are taken{in_line}")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(self._queue_seconds):
                await turn
        except BaseException as error:
            if turn in self._line:
                self._line.remove(turn)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                # It came in the same moment.
                self._leave()
            if isinstance(error, TimeoutError):
                raise self._too_busy(
                    f"none of the {self._slots} execution slots of node {self._node_id} became free within "
                    f"{self._queue_seconds:g} s"
                ) from None
            raise

    def _leave(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._active -= 1
        if self._active == 0:
            self._idle.set()

    def _too_busy(self, why: str) -> TooBusy:
        return TooBusy(f"{why}; try again shortly", RETRY_AFTER_SECONDS)

    def _closed(self) -> Unavailable:
        return Unavailable("flexcore", f"node {self._node_id} is draining and takes no new executions; use another")
