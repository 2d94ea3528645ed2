"""Sessions' tokens: JSON Web Tokens that every node can verify, though no two nodes share a secret.

Each process makes an Ed25519 key when it needs one, and publishes the public half in PostgreSQL under its `kid`. The
private half never leaves the memory of the process: there is no file to protect, to copy or to lose. A key signs for
a day; its public half stays until the last token that it signed has expired, also when the process has ended.
"""

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flexcore.application.access.directory import KnownKey, Session, UnknownKeyError
from flexcore.application.ports import Clock
from flexcore.domain.errors import Unauthenticated

ALGORITHM: Final = "EdDSA"
ISSUER: Final = "flexcore"
KEY_LIFE: Final = timedelta(days=1)
LONGEST_TOKEN_BYTES: Final = 4096
_REQUIRED: Final = ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"]
# How far the clocks of two nodes may be apart.
_SKEW: Final = timedelta(seconds=30)


class KeyStore(Protocol):
    """Where public keys are published."""

    async def publish(self, kid: str, public_key: bytes, created_at: datetime, not_after: datetime) -> None:
        """Let every node verify what the key signs; raises Unavailable."""
        ...


class _Key:
    """A key pair of this process."""

    def __init__(self, made_at: datetime) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes_raw()
        self.kid = hashlib.sha256(self.public).hexdigest()[:32]
        self.made_at = made_at


class JsonWebTokens:
    """The ports SessionIssuer and SessionReader. `audience` is the name of the cluster."""

    def __init__(self, store: KeyStore, *, audience: str, seconds: int, clock: Clock) -> None:
        self._store = store
        self._audience = audience
        self._seconds = seconds
        self._clock = clock
        self._key: _Key | None = None

    async def issue(self, user_id: str, epoch: int) -> tuple[str, int]:
        """Return a token and for how many seconds it is good; raises Unavailable."""
        now = self._clock()
        key = self._key
        if key is None or now >= key.made_at + KEY_LIFE:
            key = _Key(now)
            not_after = now + KEY_LIFE + timedelta(seconds=self._seconds)
            await self._store.publish(key.kid, key.public, now, not_after)
            self._key = key
        claims = {
            "iss": ISSUER,
            "aud": self._audience,
            "sub": user_id,
            "iat": now,
            "nbf": now - _SKEW,
            "exp": now + timedelta(seconds=self._seconds),
            "jti": str(uuid.uuid4()),
            "epoch": epoch,
        }
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid}), self._seconds

    def read(self, token: bytes, keys: Mapping[str, KnownKey]) -> Session:
        """Verify a token; raises Unauthenticated, UnknownKeyError."""
        if len(token) > LONGEST_TOKEN_BYTES:
            raise _invalid()
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise _invalid() from error
        kid = header.get("kid")
        # What the token says of itself only chooses among our keys; how it must be signed is said here.
        if header.get("alg") != ALGORITHM or not isinstance(kid, str):
            raise _invalid()
        if (key := keys.get(kid)) is None:
            raise UnknownKeyError
        if key.not_after <= self._clock():
            raise _invalid()
        return _session(self._claims(token, key))

    def _claims(self, token: bytes, key: KnownKey) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                Ed25519PublicKey.from_public_bytes(key.public_key),
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The token has expired.") from error
        except jwt.InvalidTokenError as error:
            raise _invalid() from error


def _session(claims: Mapping[str, Any]) -> Session:
    epoch, expires_at = claims.get("epoch"), claims["exp"]
    if type(epoch) is not int or not isinstance(expires_at, (int, float)):
        raise _invalid()
    return Session(claims["sub"], epoch, float(expires_at))


def _invalid() -> Unauthenticated:
    return Unauthenticated("The token is not valid.")
