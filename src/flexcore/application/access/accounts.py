"""Users and API tokens: create, list, change, take away."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

from flexcore.application.ports import Clock, NewId
from flexcore.domain.access import Actor, ActorKind, Role, check_password, check_user_name
from flexcore.domain.errors import Conflict, Forbidden, InvalidInput, NotFound

MAX_USERS: Final = 1000
MAX_TOKENS: Final = 5000
"""Every node knows all of them by heart."""
TOKEN_PREFIX: Final = "fct_"  # noqa: S105 - what every API token begins with, so that leaked ones can be searched for
_TOKEN_BYTES: Final = 32


class User(Struct, frozen=True):
    """A person who may log in."""

    name: str
    role: Role
    disabled: bool
    created_at: datetime
    updated_at: datetime


class ApiToken(Struct, frozen=True):
    """A token of a program. What it is allowed is never more than what its owner is."""

    id: str
    name: str
    owner: Annotated[str, Meta(description="The user that it belongs to, or api_token for that of the nodes")]
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used: Annotated[datetime | None, Meta(description="Known to the minute")]


class NewToken(Struct, frozen=True):
    """A new API token, with the text that is shown this once."""

    token: Annotated[str, Meta(description="Send it as Authorization: Bearer <token>; it is not shown again")]
    id: str
    name: str
    owner: str
    role: Role
    created_at: datetime
    expires_at: datetime | None


class UserChange(Struct, frozen=True):
    """What is to be another; None stays as it is."""

    role: Role | None = None
    disabled: bool | None = None
    password_hash: str | None = None


class Credentials(Struct, frozen=True):
    """What a login is compared with. `session_epoch` counts how often all sessions of the user were ended."""

    user_id: str
    name: str
    role: Role
    disabled: bool
    password_hash: str
    session_epoch: int


class AccountStore(Protocol):
    """Where accounts are kept. Changes take turns over all nodes; every method raises Unavailable."""

    async def users(self, limit: int, offset: int) -> tuple[Sequence[User], int]:
        """Users by name, and how many there are."""
        ...

    async def user(self, name: str) -> User:
        """One user; raises NotFound."""
        ...

    async def credentials(self, name: str) -> Credentials | None:
        """Read what a login of this user is compared with."""
        ...

    async def add_user(self, user_id: str, user: User, password_hash: str) -> None:
        """Add a user; raises Conflict if the name is taken or there are too many."""
        ...

    async def add_first_user(self, user_id: str, user: User, password_hash: str) -> bool:
        """Add a user if there is none at all, and say whether that was so."""
        ...

    async def change_user(self, name: str, change: UserChange, now: datetime) -> User:
        """Change a user; a new password, or being disabled, ends all sessions.

        Raises NotFound, and Conflict if no admin who may log in would be left.
        """
        ...

    async def remove_user(self, name: str) -> None:
        """Take a user away with all tokens; raises NotFound, Conflict as `change_user` does."""
        ...

    async def end_sessions(self, name: str) -> None:
        """End all sessions of a user; raises NotFound."""
        ...

    async def tokens(self, limit: int, offset: int) -> tuple[Sequence[ApiToken], int]:
        """Tokens by owner and name, and how many there are."""
        ...

    async def add_token(self, token: ApiToken, secret_hash: bytes) -> None:
        """Add a token; raises Conflict if its owner has one of that name or there are too many."""
        ...

    async def remove_token(self, token_id: str) -> None:
        """Take a token away; raises NotFound."""
        ...


class PasswordHasher(Protocol):
    """A slow hash, so that passwords can't be guessed from what the database holds."""

    async def hash(self, password: str) -> str:
        """Hash a password; raises TooBusy."""
        ...

    def check_room(self) -> None:
        """Raise TooBusy if as many passwords wait to be compared as may."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Compare, in the same time also for None, which nothing is equal to; raises TooBusy."""
        ...


Changed = Callable[[], Awaitable[None]]
"""Tells all nodes that accounts have changed; returns once this node knows."""


class Users:
    """The use cases about users."""

    def __init__(
        self, store: AccountStore, hasher: PasswordHasher, *, clock: Clock, new_id: NewId, changed: Changed
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._clock = clock
        self._new_id = new_id
        self._changed = changed

    async def page(self, limit: int, offset: int) -> tuple[Sequence[User], int]:
        """Read users by name, and how many there are."""
        return await self._store.users(limit, offset)

    async def get(self, name: str) -> User:
        """Read one; raises NotFound."""
        return await self._store.user(name)

    async def create(self, name: str, password: str, role: Role) -> User:
        """Add a user; raises InvalidInput, Conflict, TooBusy, Unavailable."""
        user, password_hash = await self._new(name, password, role)
        await self._store.add_user(self._new_id(), user, password_hash)
        await self._changed()
        return user

    async def create_first(self, name: str, password: str) -> bool:
        """Add an admin if there is no user at all, and say whether that was so."""
        _, total = await self._store.users(1, 0)
        if total:
            return False
        user, password_hash = await self._new(name, password, Role.ADMIN)
        return await self._store.add_first_user(self._new_id(), user, password_hash)

    async def change(self, name: str, *, role: Role | None, disabled: bool | None, password: str | None) -> User:
        """Change what is given; raises InvalidInput, NotFound, Conflict, TooBusy, Unavailable."""
        password_hash = None
        if password is not None:
            await self._store.user(name)
            check_password(password, name)
            password_hash = await self._hasher.hash(password)
        user = await self._store.change_user(name, UserChange(role, disabled, password_hash), self._clock())
        await self._changed()
        return user

    async def remove(self, name: str) -> None:
        """Take a user away; raises NotFound, Conflict, Unavailable."""
        await self._store.remove_user(name)
        await self._changed()

    async def end_sessions(self, actor: Actor) -> None:
        """End all sessions of a user who has logged in; raises Conflict for anybody else."""
        if actor.kind is not ActorKind.USER:
            raise Conflict(f"{actor.name} has no session that could end; an API token ends when it is deleted")
        await self._store.end_sessions(actor.name)
        await self._changed()

    async def _new(self, name: str, password: str, role: Role) -> tuple[User, str]:
        check_user_name(name)
        check_password(password, name)
        now = self._clock()
        return User(name, role, disabled=False, created_at=now, updated_at=now), await self._hasher.hash(password)


class ApiTokens:
    """The use cases about API tokens."""

    def __init__(self, store: AccountStore, *, clock: Clock, new_id: NewId, changed: Changed) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._changed = changed

    async def page(self, limit: int, offset: int) -> tuple[Sequence[ApiToken], int]:
        """Read tokens by owner and name, and how many there are."""
        return await self._store.tokens(limit, offset)

    async def create(self, actor: Actor, name: str, role: Role, expires_at: datetime | None) -> NewToken:
        """Make a token that belongs to `actor`; raises InvalidInput, Forbidden, Conflict, Unavailable.

        The token of a token belongs to whom that one belongs to.
        """
        now = self._clock()
        if not actor.role.covers(role):
            raise Forbidden(f"a token can't have the role {role}: {actor.name} has the role {actor.role}")
        if expires_at is not None and expires_at <= now:
            raise InvalidInput.field("expires_at", "must lie in the future")
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        made = ApiToken(self._new_id(), name, owner_of(actor), role, now, expires_at, None)
        await self._store.add_token(made, digest(token.encode()))
        await self._changed()
        return NewToken(token, made.id, name, made.owner, role, now, expires_at)

    async def remove(self, token_id: str) -> None:
        """Revoke a token; raises NotFound, Unavailable."""
        await self._store.remove_token(token_id)
        await self._changed()


def owner_of(actor: Actor) -> str:
    """Return the name of the account that `actor` acts for."""
    return actor.name.partition("/")[0] if actor.kind is ActorKind.TOKEN else actor.name


def digest(token: bytes) -> bytes:
    """Hash a token. A fast hash does: a token has 256 random bits, which nobody can try out."""
    return hashlib.sha256(token).digest()


def not_a_user(name: str) -> NotFound:
    """Return what a caller is told who names a user that there is not."""
    return NotFound(f"there is no user '{name}'")
