"""Tells who a call comes from, from memory: every node knows all users, tokens and keys by heart.

They are few and seldom change, and every call needs them. A node asks PostgreSQL every second, and whenever it is
told that there is news, whether a version number has grown; then it reads all of them again. So a token that was
revoked, or a user who was disabled, is out on every node within a second or so. What a node does not know it looks
for once more before it says no.

While PostgreSQL does not answer, what was known stays good for a minute; what was not is answered with Unavailable.
"""

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from flexcore.application.access.accounts import TOKEN_PREFIX, digest
from flexcore.application.background import Background, wait_at_most
from flexcore.application.ports import Clock, LiveChannel, LiveMessage
from flexcore.domain.access import MACHINE_NAME, ActorKind, Role
from flexcore.domain.errors import Unauthenticated, Unavailable

LOOK_SECONDS: Final = 1.0
PACE_SECONDS: Final = 0.1
"""However many unknown tokens come, PostgreSQL is asked no more often than this."""
GOOD_SECONDS: Final = 60.0
"""How long what is known stays good while PostgreSQL does not answer."""
USES_SECONDS: Final = 60.0
MOST_REMEMBERED: Final = 10_000
NEWS: Final = "access"

_STOPPING: Final = "who calls can't be told now: FlexCore is stopping"
_PREFIX: Final = TOKEN_PREFIX.encode()
_logger = logging.getLogger("flexcore.access")


@dataclass(frozen=True, slots=True)
class KnownUser:
    """What a call needs to know of a user."""

    name: str
    role: Role
    disabled: bool
    session_epoch: int


@dataclass(frozen=True, slots=True)
class KnownToken:
    """What a call needs to know of an API token; an owner of None is the machine token."""

    id: str
    name: str
    role: Role
    owner_id: str | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The public half of a key that signs sessions."""

    public_key: bytes
    not_after: datetime


@dataclass(frozen=True, slots=True)
class AccessState:
    """All accounts as of `version`: users by id, tokens by the hash of their text, keys by `kid`."""

    version: int = 0
    users: Mapping[str, KnownUser] = field(default_factory=dict)
    tokens: Mapping[bytes, KnownToken] = field(default_factory=dict)
    keys: Mapping[str, KnownKey] = field(default_factory=dict)


class AccessSource(Protocol):
    """Where the accounts are. Every method raises Unavailable."""

    async def read(self, known: int) -> AccessState | None:
        """Read all accounts, or None if there is nothing newer than version `known`."""
        ...

    async def used(self, token_ids: Iterable[str], at: datetime) -> None:
        """Note that API tokens were used."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """What a session's token says, which was signed with a key that is known. `expires_at` is in Unix seconds."""

    user_id: str
    epoch: int
    expires_at: float


class UnknownKeyError(Exception):
    """A session's token was signed with a key that is not known (yet)."""


class SessionReader(Protocol):
    """Reads sessions' tokens."""

    def read(self, token: bytes, keys: Mapping[str, KnownKey]) -> Session:
        """Verify a token; raises Unauthenticated, UnknownKeyError."""
        ...


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token stands for, and until when, in Unix seconds."""

    name: str
    role: Role
    kind: ActorKind
    expires_at: float = math.inf
    token_id: str | None = None


class Directory:
    """Knows the holders of tokens. `machine_token` is the one that the node was given as a credential."""

    def __init__(
        self, source: AccessSource, sessions: SessionReader, channel: LiveChannel, *, machine_token: str, clock: Clock
    ) -> None:
        self._source = source
        self._sessions = sessions
        self._channel = channel
        self._clock = clock
        self._machine_digest = digest(machine_token.encode())
        self._machine = Principal(MACHINE_NAME, Role.ADMIN, ActorKind.MACHINE)
        self._state = AccessState()
        self._confirmed = -math.inf
        self._remembered: dict[bytes, Principal] = {}
        self._used: set[str] = set()
        self._noted = time.monotonic()
        self._news = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._background = Background()

    @property
    def users(self) -> int | None:
        """How many users there are; None while that is not known."""
        return len(self._state.users) if self._state.version else None

    def start(self) -> None:
        """Begin to follow the accounts."""
        self._channel.subscribe(NEWS, self._on_news)
        self._background.run("access", self._follow)

    async def close(self) -> None:
        """Stop following them."""
        await self._background.close()
        waiting, self._waiting = self._waiting, []
        _settle(waiting, Unavailable("access", _STOPPING))
        with suppress(Unavailable):
            await self._note_uses()

    async def identify(self, credentials: bytes) -> Principal:
        """Tell whose token this is; raises Unauthenticated, or Unavailable if that can't be told now."""
        key = digest(credentials)
        if hmac.compare_digest(key, self._machine_digest):
            return self._machine
        found = self._remembered.get(key)
        if found is None or not self._is_good():
            found = await self._find(key, credentials)
        if found.expires_at <= time.time():
            raise Unauthenticated("The token has expired.")
        if found.token_id is not None:
            self._used.add(found.token_id)
        return found

    async def changed(self) -> None:
        """Tell all nodes that accounts have changed, and learn of it here."""
        self._channel.publish(NEWS)
        with suppress(Unavailable):
            # It is done. Who learns of it later does so by asking again.
            await self._look_again()

    def knows_user(self, name: str) -> bool:
        """Whether there is a user of this name, as far as is known here."""
        return any(user.name == name for user in self._state.users.values())

    async def _find(self, key: bytes, credentials: bytes) -> Principal:
        found = self._resolve(key, credentials) if self._is_good() else None
        if found is None:
            await self._look_again()
            found = self._resolve(key, credentials)
        if found is None:
            raise Unauthenticated("The token is not valid.")
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = found
        return found

    def _is_good(self) -> bool:
        return time.monotonic() - self._confirmed <= GOOD_SECONDS

    def _resolve(self, key: bytes, credentials: bytes) -> Principal | None:
        """Tell whose token this is; None if it is unknown. Raises Unauthenticated for one that is known and no good."""
        if credentials.startswith(_PREFIX):
            token = self._state.tokens.get(key)
            return None if token is None else self._holder(token)
        try:
            session = self._sessions.read(credentials, self._state.keys)
        except UnknownKeyError:
            return None
        user = self._state.users.get(session.user_id)
        if user is None or session.epoch > user.session_epoch:
            return None
        if user.disabled or session.epoch < user.session_epoch:
            raise Unauthenticated("The session has ended.")
        return Principal(user.name, user.role, ActorKind.USER, session.expires_at)

    def _holder(self, token: KnownToken) -> Principal:
        expires_at = math.inf if token.expires_at is None else token.expires_at.timestamp()
        if token.owner_id is None:
            name, role = MACHINE_NAME, token.role
        else:
            owner = self._state.users[token.owner_id]
            if owner.disabled:
                raise Unauthenticated("The token belongs to a user who is disabled.")
            name, role = owner.name, token.role.at_most(owner.role)
        return Principal(f"{name}/{token.name}", role, ActorKind.TOKEN, expires_at, token.id)

    async def _look_again(self) -> None:
        """Wait for a look at the accounts that begins after now; raises Unavailable."""
        looked = asyncio.get_running_loop().create_future()
        self._waiting.append(looked)
        self._news.set()
        await looked

    def _on_news(self, message: LiveMessage) -> None:
        self._news.set()

    async def _follow(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(PACE_SECONDS)
            await wait_at_most(self._news, LOOK_SECONDS - PACE_SECONDS)

    async def _look(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._news.clear()
        began = time.monotonic()
        try:
            state = await self._source.read(self._state.version)
            if began - self._noted >= USES_SECONDS:
                await self._note_uses()
        except Unavailable as error:
            _settle(waiting, Unavailable(error.service, f"who calls can't be told now: {error}"))
            return
        except BaseException:
            _settle(waiting, Unavailable("access", _STOPPING))
            raise
        self._confirmed = began
        if state is not None:
            self._state = state
            self._remembered.clear()
        _settle(waiting, None)

    async def _note_uses(self) -> None:
        used, self._used, self._noted = self._used, set(), time.monotonic()
        if used:
            await self._source.used(used, self._clock())


def _settle(waiting: Iterable[asyncio.Future[None]], error: Unavailable | None) -> None:
    for looked in waiting:
        if looked.done():
            continue
        if error is None:
            looked.set_result(None)
        else:
            looked.set_exception(error)
