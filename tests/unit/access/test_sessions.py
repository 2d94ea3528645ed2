"""Sessions' tokens: what any node accepts, and the many that none does."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flexcore.application.access.directory import KnownKey, UnknownKeyError
from flexcore.domain.errors import Unauthenticated
from flexcore.infrastructure.sessions import KEY_LIFE, JsonWebTokens

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Keys(dict[str, KnownKey]):
    """Published keys."""

    async def publish(self, kid: str, public_key: bytes, created_at: datetime, not_after: datetime) -> None:
        self[kid] = KnownKey(public_key, not_after)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def node(keys: Keys, clock: Clock) -> Callable[..., JsonWebTokens]:
    return lambda audience="flexcore", seconds=600: JsonWebTokens(keys, audience=audience, seconds=seconds, clock=clock)


async def test_any_node_reads_what_another_issued(node: Callable[..., JsonWebTokens], keys: Keys) -> None:
    token, seconds = await node().issue("u1", 3)
    session = node().read(token.encode(), keys)
    assert (session.user_id, session.epoch, seconds) == ("u1", 3, 600)


async def test_a_node_signs_with_one_key_for_a_day(
    node: Callable[..., JsonWebTokens], keys: Keys, clock: Clock
) -> None:
    issuer = node()
    first, _ = await issuer.issue("u1", 0)
    await issuer.issue("u2", 0)
    assert len(keys) == 1
    clock.now += KEY_LIFE
    await issuer.issue("u1", 0)
    assert len(keys) == 2
    clock.now += timedelta(seconds=601)
    with pytest.raises(Unauthenticated):
        node().read(first.encode(), keys)


async def test_an_unknown_key_is_told_apart(node: Callable[..., JsonWebTokens]) -> None:
    token, _ = await node().issue("u1", 0)
    with pytest.raises(UnknownKeyError):
        node().read(token.encode(), {})


async def test_another_cluster_s_token_is_none_here(node: Callable[..., JsonWebTokens], keys: Keys) -> None:
    token, _ = await node("elsewhere").issue("u1", 0)
    with pytest.raises(Unauthenticated):
        node().read(token.encode(), keys)


async def test_an_expired_token(keys: Keys) -> None:
    past = JsonWebTokens(keys, audience="flexcore", seconds=60, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    token, _ = await past.issue("u1", 0)
    present = JsonWebTokens(keys, audience="flexcore", seconds=60, clock=lambda: datetime.now(UTC))
    with pytest.raises(Unauthenticated, match="expired"):
        present.read(token.encode(), keys)


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _taken_apart(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False}), token.split(".")[2]


def _forged(token: str, keys: Keys, how: str) -> str:
    header, claims, signature = _taken_apart(token)
    other = Ed25519PrivateKey.generate()
    public = keys[header["kid"]].public_key
    match how:
        case "alg none":
            return f"{_part({**header, 'alg': 'none'})}.{_part(claims)}."
        case "alg none, signed":
            return f"{_part({**header, 'alg': 'none'})}.{_part(claims)}.{signature}"
        case "the public key as a shared secret":
            return jwt.encode(claims, public, "HS256", headers=header | {"alg": "HS256"})
        case "another user":
            return f"{_part(header)}.{_part({**claims, 'sub': 'u2'})}.{signature}"
        case "another key":
            return jwt.encode(claims, other, "EdDSA", headers=header)
        case "a key of its own":
            own = other.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(own).decode()}
            return jwt.encode(claims, other, "EdDSA", headers={**header, "jwk": jwk})
        case "no kid":
            return jwt.encode(claims, other, "EdDSA")
        case "a kid that is no text":
            return f"{_part({**header, 'kid': {}})}.{_part(claims)}.{signature}"
        case "no signature":
            return token.rpartition(".")[0] + "."
        case "nonsense":
            return "a.b.c"
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how",
    [
        "alg none",
        "alg none, signed",
        "the public key as a shared secret",
        "another user",
        "another key",
        "a key of its own",
        "no kid",
        "a kid that is no text",
        "no signature",
        "nonsense",
    ],
)
async def test_a_forged_token(node: Callable[..., JsonWebTokens], keys: Keys, how: str) -> None:
    token, _ = await node().issue("u1", 0)
    with pytest.raises(Unauthenticated, match="not valid"):
        node().read(_forged(token, keys, how).encode(), keys)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "epoch"])
async def test_a_token_without_a_claim_or_with_a_wrong_one(
    node: Callable[..., JsonWebTokens], keys: Keys, claim: str
) -> None:
    issuer = node()
    token, _ = await issuer.issue("u1", 0)
    header, claims, _ = _taken_apart(token)
    assert issuer._key is not None
    private = issuer._key.private
    assert issuer.read(jwt.encode(claims, private, "EdDSA", headers=header).encode(), keys)
    without = {name: value for name, value in claims.items() if name != claim}
    wrong = [without, {**claims, claim: "x" if claim == "iss" else ["x"]}]
    if claim == "nbf":
        wrong.append({**claims, claim: claims["exp"]})
    for content in wrong:
        with pytest.raises(Unauthenticated):
            issuer.read(jwt.encode(content, private, "EdDSA", headers=header).encode(), keys)


async def test_a_token_that_is_too_long_is_not_looked_at(node: Callable[..., JsonWebTokens], keys: Keys) -> None:
    with pytest.raises(Unauthenticated):
        node().read(b"x" * 100_000, keys)
