"""Decides who calls, by the bearer token of the request; or nobody is asked (development)."""

from typing import Final, Protocol

from starlette.types import Scope

from flexcore.application.access.directory import Principal
from flexcore.domain.access import DEVELOPER_NAME, Actor, ActorKind, Role
from flexcore.domain.errors import Forbidden, Unauthenticated, Unavailable
from flexcore.presentation.http.problems import from_failure, unauthorized

_NO_TOKEN: Final = "This needs a token: send Authorization: Bearer <token>."  # noqa: S105 - no token


class AccessPolicy(Protocol):
    """Tells who makes a request."""

    async def actor(self, scope: Scope) -> Actor:
        """Return the caller; raises HttpError 401 unless the request proves who that is, 503 if it can't be told."""
        ...


class Identities(Protocol):
    """Knows the holders of tokens."""

    async def identify(self, credentials: bytes) -> Principal:
        """Tell whose token this is; raises Unauthenticated, Unavailable."""
        ...


class BearerTokens:
    """Asks for `Authorization: Bearer <token>`."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def actor(self, scope: Scope) -> Actor:
        """Return the holder of the token; raises HttpError 401, 503."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, credentials = value.partition(b" ")
                if scheme.lower() != b"bearer":
                    break
                try:
                    found = await self._identities.identify(credentials.strip())
                except Unauthenticated as error:
                    raise unauthorized(str(error), error="invalid_token") from error
                except Unavailable as error:
                    raise from_failure(error) from error
                return Actor(found.name, found.role, found.kind, source(scope))
        raise unauthorized(_NO_TOKEN)


class EverybodyIsAdministrator:
    """Accepts every request. The settings allow it in development on a loopback address only."""

    async def actor(self, scope: Scope) -> Actor:
        """Let it pass."""
        return Actor(DEVELOPER_NAME, Role.ADMIN, ActorKind.MACHINE, source(scope))


def source(scope: Scope) -> str | None:
    """Return the address that a request came from."""
    client = scope.get("client")
    return client[0] if client else None


def check_role(actor: Actor, needed: Role) -> None:
    """Raise Forbidden unless `actor` has the rights of `needed`."""
    if not actor.role.covers(needed):
        raise Forbidden(f"This needs the role {needed}; {actor.name} has the role {actor.role}.")
