"""Logging in with a password: slowly, so that nobody guesses one, and never at the cost of other calls."""

import hashlib
import ipaddress
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from flexcore.application.access.accounts import AccountStore, Credentials, PasswordHasher, Users
from flexcore.domain.access import USER_NAME, Actor, ActorKind, Role
from flexcore.domain.errors import Conflict, Forbidden, TooManyAttempts, Unauthenticated

WRONG: Final = "The user name or the password is wrong."
FREE_FOR_USER: Final = 5
"""Failures in a row that cost no pause; after that each doubles it."""
LONGEST_FOR_USER_SECONDS: Final = 60
"""Short, because anybody can make it pass for a name that they know."""
FREE_FOR_SOURCE: Final = 20
"""More, because many people may share an address."""
LONGEST_FOR_SOURCE_SECONDS: Final = 900
_MOST_BLOCKED: Final = 10_000
_IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that name a network; the others are its holder's to choose."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose failures are counted: after `free` of them each doubles the pause, from one second to `longest`."""

    key: str
    free: int
    longest_seconds: int


class LoginAttempts(Protocol):
    """Counts attempts over all nodes. Every method raises Unavailable."""

    async def begin(self, subjects: Sequence[Subject]) -> float:
        """Count an attempt as failed until it succeeds, and return 0; or the seconds that it has to wait."""
        ...

    async def succeeded(self, user: Subject, source: Subject) -> None:
        """Forget the user's failures, and take back the count of this attempt for its source."""
        ...


class SessionIssuer(Protocol):
    """Makes sessions' tokens."""

    async def issue(self, user_id: str, epoch: int) -> tuple[str, int]:
        """Return a token and for how many seconds it is good; raises Unavailable."""
        ...


class Login:
    """The use cases in which somebody gives a password."""

    def __init__(
        self,
        store: AccountStore,
        hasher: PasswordHasher,
        attempts: LoginAttempts,
        sessions: SessionIssuer,
        users: Users,
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._attempts = attempts
        self._sessions = sessions
        self._users = users
        self._blocked: dict[str, float] = {}

    async def login(self, name: str, password: str, source: str | None) -> tuple[str, int, Role]:
        """Return a session's token, its seconds, and the user's role.

        Raises Unauthenticated, TooManyAttempts, TooBusy, Unavailable.
        """
        credentials = await self._check(name, password, source)
        if credentials is None:
            raise Unauthenticated(WRONG)
        token, seconds = await self._sessions.issue(credentials.user_id, credentials.session_epoch)
        return token, seconds, credentials.role

    async def change_own_password(self, actor: Actor, present: str, new: str) -> None:
        """Let users set their own passwords, which ends their sessions.

        Raises Conflict for who is no user, Forbidden for a wrong `present`, InvalidInput, TooManyAttempts, TooBusy,
        Unavailable.
        """
        if actor.kind is not ActorKind.USER:
            raise Conflict(f"{actor.name} is no user who has logged in, so there is no password to change")
        if await self._check(actor.name, present, actor.source) is None:
            raise Forbidden("The present password is wrong.")
        await self._users.change(actor.name, role=None, disabled=None, password=new)

    async def _check(self, name: str, password: str, source: str | None) -> Credentials | None:
        """Compare a password; takes the same time whether there is such a user or not."""
        user, address = _user(name), Subject(f"source {network(source)}", FREE_FOR_SOURCE, LONGEST_FOR_SOURCE_SECONDS)
        # Before the attempt is counted: who finds no room has not failed.
        self._hasher.check_room()
        await self._begin((user, address))
        credentials = await self._store.credentials(name) if re.fullmatch(USER_NAME, name) else None
        right = await self._hasher.verify(None if credentials is None else credentials.password_hash, password)
        if credentials is None or not right or credentials.disabled:
            return None
        await self._attempts.succeeded(user, address)
        return credentials

    async def _begin(self, subjects: Sequence[Subject]) -> None:
        # A flood that has to wait is told so from memory.
        pair, now = " ".join(subject.key for subject in subjects), time.monotonic()
        wait = self._blocked.get(pair, now) - now
        if wait <= 0:
            self._blocked.pop(pair, None)
            wait = await self._attempts.begin(subjects)
            if wait <= 0:
                return
            if len(self._blocked) >= _MOST_BLOCKED:
                self._blocked.clear()
            self._blocked[pair] = now + wait
        seconds = int(wait) + 1
        raise TooManyAttempts(f"Too many failed logins; try again in {seconds} s.", seconds)


def _user(name: str) -> Subject:
    # Some type their password where the name belongs, so what they typed is kept nowhere.
    hashed = hashlib.sha256(name.encode(errors="replace")).hexdigest()
    return Subject(f"user {hashed}", FREE_FOR_USER, LONGEST_FOR_USER_SECONDS)


def network(source: str | None) -> str:
    """Return what an address counts as: itself, or the network that an IPv6 address is in."""
    try:
        address = ipaddress.ip_address(source or "")
    except ValueError:
        return source or "unknown"
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))
    return str(address)
