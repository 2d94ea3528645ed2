"""Decides who may call what: one bearer token with administrator rights, or nobody is asked (development)."""

import hmac
from typing import Protocol

from starlette.types import Scope

from flexcore.presentation.http.problems import HttpError


class AccessPolicy(Protocol):
    """Lets a request pass, or refuses it."""

    def check(self, scope: Scope) -> None:
        """Raise HttpError 401 unless the request may pass."""
        ...


class BearerToken:
    """Accepts requests that carry the token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def check(self, scope: Scope) -> None:
        """Raise HttpError 401 unless `Authorization: Bearer <token>` was sent; takes the same time for any token."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, credentials = value.partition(b" ")
                if scheme.lower() == b"bearer" and hmac.compare_digest(credentials.strip(), self._token):
                    return
                raise _unauthorized("The bearer token is not valid.", 'Bearer realm="flexcore", error="invalid_token"')
        raise _unauthorized("This needs a token: send Authorization: Bearer <token>.", 'Bearer realm="flexcore"')


class EverybodyIsAdministrator:
    """Accepts every request. The settings allow it in development on a loopback address only."""

    def check(self, scope: Scope) -> None:
        """Let it pass."""


def _unauthorized(detail: str, challenge: str) -> HttpError:
    return HttpError(401, "unauthorized", "Unauthorized", detail, headers={"www-authenticate": challenge})
