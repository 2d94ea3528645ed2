"""The election of the one node that does what only one may do.

Redis holds the lease, which says who may lead; PostgreSQL counts the terms, and refuses what a leader of an earlier
term still tries to write. So a wrong answer of Redis, or a leader that slept through the end of its term, costs time
and never data. While Redis is away the present leader goes on, for as long as PostgreSQL confirms its term.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from flexcore.application.background import CANCELLATION_SECONDS, Background, cancel, wait_at_most
from flexcore.application.ports import LeaderWork, LiveChannel, LiveMessage
from flexcore.domain.errors import FlexCoreError, LeadershipLost, Unavailable

LEASE_SECONDS: Final = 10.0
RENEW_SECONDS: Final = 3.0
CAMPAIGN_SECONDS: Final = 1.0
# A leader without PostgreSQL can do nothing; after this time it lets others try, who may reach it.
UNCONFIRMED_SECONDS: Final = 10.0
FIRST_RESTART_SECONDS: Final = 0.5
LAST_RESTART_SECONDS: Final = 5.0

_logger = logging.getLogger("flexcore.cluster")


@dataclass(frozen=True, slots=True)
class LeaseView:
    """Who holds the lease (a node id, None: nobody), and whether that is this very process."""

    holder: str | None
    mine: bool


class LeaderLease(Protocol):
    """The right to lead for some seconds. Every method raises Unavailable while Redis does not answer."""

    async def acquire(self) -> LeaseView:
        """Take the lease if it is free, lengthen it if it is ours."""
        ...

    async def look(self) -> LeaseView:
        """See who has it."""
        ...

    async def release(self) -> None:
        """Give it back if it is ours."""
        ...


class LeadershipTerms(Protocol):
    """The count of terms that decides whose writes count. Raises Unavailable while PostgreSQL does not answer."""

    async def take(self, node_id: str) -> int:
        """Begin a term and return its token, which ends every earlier term."""
        ...

    async def confirm(self, token: int) -> None:
        """Raise LeadershipLost if a later term has begun."""
        ...


class LeaderElection:
    """One node's part in the election, and the work it does while it leads; the port Leadership.

    `may_lead` is asked each time: a node that answers no gives the lease back and does not try.
    """

    def __init__(
        self,
        *,
        node_id: str,
        lease: LeaderLease,
        terms: LeadershipTerms,
        channel: LiveChannel,
        may_lead: Callable[[], bool] = lambda: True,
    ) -> None:
        self._node_id = node_id
        self._lease = lease
        self._terms = terms
        self._channel = channel
        self._may_lead = may_lead
        self._token: int | None = None
        self._leader: str | None = None
        self._confirmed = 0.0
        self._work: dict[str, LeaderWork] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._hurry = asyncio.Event()
        self._background = Background()

    @property
    def token(self) -> int | None:
        """The fencing token of this node's term; None while it does not lead."""
        return self._token

    @property
    def leader(self) -> str | None:
        """Id of the node that led when this one looked last; None if none did."""
        return self._leader

    def run_while_leading(self, name: str, work: LeaderWork) -> None:
        """Run `work` in every term of this node, from its beginning; it is cancelled when the term ends."""
        self._work[name] = work
        if self._token is not None:
            self._start(name, self._token)

    def start(self) -> None:
        """Begin to take part."""
        self._channel.subscribe("leader", self._on_news)
        self._background.run("leader election", self._take_part)

    async def close(self) -> None:
        """End the term, if this node leads, and give the lease back."""
        await self._background.close()
        await self._end("this node stops")
        with suppress(Unavailable):
            # Also when no term was running: the last answer of Redis may not have reached us.
            await self._lease.release()
        self._channel.publish("leader")

    def _on_news(self, message: LiveMessage) -> None:
        self._hurry.set()

    async def _take_part(self) -> None:
        while True:
            pause = await (self._campaign() if self._token is None else self._renew(self._token))
            await wait_at_most(self._hurry, pause)

    async def _campaign(self) -> float:
        try:
            willing = self._may_lead()
            view = await (self._lease.acquire() if willing else self._lease.look())
        except Unavailable:
            # Whoever leads goes on; nobody new is elected.
            return CAMPAIGN_SECONDS
        self._leader = view.holder
        if not (willing and view.mine):
            return CAMPAIGN_SECONDS
        try:
            self._token = await self._terms.take(self._node_id)
        except Unavailable as error:
            _logger.warning("this node could lead, but can't begin a term: %s", error)
            await self._give_back()
            return CAMPAIGN_SECONDS
        self._confirmed = time.monotonic()
        _logger.info("leads the cluster", extra={"token": self._token})
        for name in self._work:
            self._start(name, self._token)
        self._channel.publish("leader")
        return RENEW_SECONDS

    async def _renew(self, token: int) -> float:
        """Keep the lease and the term, or end the term; returns when to look again."""
        if not self._may_lead():
            await self._end("another node is to lead")
            await self._give_back()
            self._channel.publish("leader")
            return CAMPAIGN_SECONDS
        try:
            view = await self._lease.acquire()
        except Unavailable:
            view = None
        if view is not None:
            self._leader = view.holder
            if not view.mine:
                await self._end(f"the lease went to node {view.holder}")
                return CAMPAIGN_SECONDS
        try:
            await self._terms.confirm(token)
        except LeadershipLost as error:
            await self._end(str(error))
            return CAMPAIGN_SECONDS
        except Unavailable as error:
            if time.monotonic() - self._confirmed > UNCONFIRMED_SECONDS:
                await self._end(f"the term can't be confirmed: {error}")
                await self._give_back()
            return CAMPAIGN_SECONDS
        self._confirmed = time.monotonic()
        return CAMPAIGN_SECONDS if view is None else RENEW_SECONDS

    async def _end(self, reason: str) -> None:
        if self._token is None:
            return
        _logger.info("leads no longer: %s", reason, extra={"token": self._token})
        self._token = None
        tasks, self._running = self._running, {}
        for task in await cancel(tasks.values(), CANCELLATION_SECONDS):
            _logger.error("%s goes on although its term is over", task.get_name())

    async def _give_back(self) -> None:
        self._leader = None
        with suppress(Unavailable):
            await self._lease.release()

    def _start(self, name: str, token: int) -> None:
        self._running[name] = asyncio.create_task(self._keep(name, self._work[name], token), name=name)

    async def _keep(self, name: str, work: LeaderWork, token: int) -> None:
        delay = FIRST_RESTART_SECONDS
        while True:
            try:
                await work(token)
            except LeadershipLost:
                # The election learns it from PostgreSQL itself, now instead of at the next renewal.
                self._hurry.set()
            except FlexCoreError as error:
                _logger.warning("%s has to pause: %s", name, error)
            except Exception:
                _logger.exception("%s failed unexpectedly and is started again", name)
            else:
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RESTART_SECONDS)
