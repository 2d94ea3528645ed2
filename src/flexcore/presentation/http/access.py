"""Decides who calls: the holder of one bearer token, or nobody is asked (development)."""

import hmac
from typing import Final, Protocol

from starlette.types import Scope

from flexcore.domain.access import DEVELOPER_NAME, MACHINE_NAME, Actor, ActorKind, Role
from flexcore.presentation.http.problems import HttpError

_CHALLENGE: Final = 'Bearer realm="flexcore"'


class AccessPolicy(Protocol):
    """Tells who makes a request."""

    async def actor(self, scope: Scope) -> Actor:
        """Return the caller; raises HttpError 401 unless the request proves who that is."""
        ...


class BearerToken:
    """Knows one caller: whoever carries the token is an administrator."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def actor(self, scope: Scope) -> Actor:
        """Raise HttpError 401 unless `Authorization: Bearer <token>` was sent; takes the same time for any token."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, credentials = value.partition(b" ")
                if scheme.lower() == b"bearer" and hmac.compare_digest(credentials.strip(), self._token):
                    return Actor(MACHINE_NAME, Role.ADMIN, ActorKind.MACHINE, source(scope))
                raise unauthorized("The bearer token is not valid.", f'{_CHALLENGE}, error="invalid_token"')
        raise unauthorized("This needs a token: send Authorization: Bearer <token>.", _CHALLENGE)


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
    """Raise HttpError 403 unless `actor` has the rights of `needed`."""
    if not actor.role.covers(needed):
        raise forbidden(f"This needs the role {needed}; {actor.name} has the role {actor.role}.")


def unauthorized(detail: str, challenge: str) -> HttpError:
    """401 with what the caller has to show."""
    return HttpError(401, "unauthorized", "Unauthorized", detail, headers={"www-authenticate": challenge})


def forbidden(detail: str) -> HttpError:
    """403."""
    challenge = f'{_CHALLENGE}, error="insufficient_scope"'
    return HttpError(403, "forbidden", "Forbidden", detail, headers={"www-authenticate": challenge})
