"""Who a token stands for: from memory, looked up once more before a no, and for a bounded time without PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flexcore.application.access import directory as module
from flexcore.application.access.accounts import digest
from flexcore.application.access.directory import (
    GOOD_SECONDS,
    AccessState,
    Directory,
    KnownKey,
    KnownToken,
    KnownUser,
    Session,
    UnknownKeyError,
)
from flexcore.domain.access import ActorKind, Role
from flexcore.domain.errors import Unauthenticated, Unavailable

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = 4_000_000_000.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Source:
    """The accounts, or none while it is `down`."""

    def __init__(self) -> None:
        self.state = AccessState(1)
        self.down = False
        self.looks = 0
        self.uses: list[str] = []

    async def read(self, known: int) -> AccessState | None:
        self.looks += 1
        if self.down:
            raise Unavailable("postgresql", "PostgreSQL is away")
        return None if known == self.state.version else self.state

    async def used(self, token_ids: Iterable[str], at: datetime) -> None:
        self.uses.extend(token_ids)

    def change(self, **state: Any) -> None:
        self.state = AccessState(self.state.version + 1, **state)


class Sessions:
    """Tokens that say what they are: `kid/user/epoch`."""

    def read(self, token: bytes, keys: Mapping[str, KnownKey]) -> Session:
        try:
            kid, user, epoch = token.decode().split("/")
        except ValueError as error:
            raise Unauthenticated("forged") from error
        if kid not in keys:
            raise UnknownKeyError
        return Session(user, int(epoch), LATER)


class Channel:
    def publish(self, kind: str, **fields: Any) -> None: ...

    def subscribe(self, kind: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        return lambda: None


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def directory(source: Source) -> AsyncIterator[Directory]:
    made = Directory(source, Sessions(), Channel(), machine_token="machine", clock=lambda: NOW)
    made.start()
    yield made
    await made.close()


def token(name: str = "ci", role: Role = Role.ADMIN, owner: str | None = None, **fields: Any) -> KnownToken:
    return KnownToken("t1", name, role, owner, fields.get("expires_at"))


async def test_the_machine_needs_nobody(directory: Directory, source: Source) -> None:
    source.down = True
    found = await directory.identify(b"machine")
    assert (found.name, found.role, found.kind) == ("api_token", Role.ADMIN, ActorKind.MACHINE)


async def test_what_is_unknown_is_looked_for_once_more(directory: Directory, source: Source) -> None:
    with pytest.raises(Unauthenticated):
        await directory.identify(b"fct_new")
    source.change(tokens={digest(b"fct_new"): token()})
    found = await directory.identify(b"fct_new")
    assert (found.name, found.kind) == ("api_token/ci", ActorKind.TOKEN)
    looks = source.looks
    for _ in range(100):
        assert await directory.identify(b"fct_new") is found
    assert source.looks <= looks + 1


async def test_many_unknown_tokens_are_looked_for_together(directory: Directory, source: Source) -> None:
    await asyncio.gather(
        *(directory.identify(f"fct_{number}".encode()) for number in range(1000)), return_exceptions=True
    )
    assert source.looks <= 4


async def test_a_new_key_a_new_user_and_a_new_session_are_found(directory: Directory, source: Source) -> None:
    key = KnownKey(b"", NOW + timedelta(days=1))
    with pytest.raises(Unauthenticated):
        await directory.identify(b"k1/u1/0")
    source.change(keys={"k1": key})
    with pytest.raises(Unauthenticated):
        await directory.identify(b"k1/u1/0")
    source.change(keys={"k1": key}, users={"u1": KnownUser("ada", Role.OPERATOR, False, 0)})
    assert (await directory.identify(b"k1/u1/0")).name == "ada"
    with pytest.raises(Unauthenticated):
        await directory.identify(b"k1/u1/1")
    source.change(keys={"k1": key}, users={"u1": KnownUser("ada", Role.OPERATOR, False, 1)})
    assert (await directory.identify(b"k1/u1/1")).role is Role.OPERATOR
    with pytest.raises(Unauthenticated, match="ended"):
        await directory.identify(b"k1/u1/0")


async def test_a_change_is_known_at_once_where_it_is_made(directory: Directory, source: Source) -> None:
    source.change(tokens={digest(b"fct_a"): token()})
    assert await directory.identify(b"fct_a")
    source.change()
    await directory.changed()
    with pytest.raises(Unauthenticated):
        await directory.identify(b"fct_a")


async def test_a_token_is_no_more_than_its_owner_and_ends_with_it(directory: Directory, source: Source) -> None:
    def owned(user: KnownUser) -> None:
        source.change(tokens={digest(b"fct_a"): token(owner="u1")}, users={"u1": user})

    owned(KnownUser("ada", Role.VIEWER, False, 0))
    found = await directory.identify(b"fct_a")
    assert (found.name, found.role) == ("ada/ci", Role.VIEWER)
    owned(KnownUser("ada", Role.VIEWER, True, 0))
    await directory.changed()
    with pytest.raises(Unauthenticated, match="disabled"):
        await directory.identify(b"fct_a")


async def test_without_postgresql_the_known_stay_known_for_a_while_and_the_door_stays_shut(
    directory: Directory, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.change(tokens={digest(b"fct_a"): token()})
    assert await directory.identify(b"fct_a")
    source.down = True
    assert await directory.identify(b"fct_a")
    with pytest.raises(Unavailable, match="who calls can't be told now"):
        await directory.identify(b"fct_unknown")
    real = module.time.monotonic
    monkeypatch.setattr(module.time, "monotonic", lambda: real() + GOOD_SECONDS + 1)
    with pytest.raises(Unavailable):
        await directory.identify(b"fct_a")
    assert (await directory.identify(b"machine")).name == "api_token"


async def test_an_expired_token_is_refused_also_from_memory(directory: Directory, source: Source) -> None:
    source.change(tokens={digest(b"fct_a"): token(expires_at=datetime.now(UTC) + timedelta(seconds=0.3))})
    assert await directory.identify(b"fct_a")
    await asyncio.sleep(0.35)
    with pytest.raises(Unauthenticated, match="expired"):
        await directory.identify(b"fct_a")


async def test_uses_are_noted_at_the_end(source: Source) -> None:
    directory = Directory(source, Sessions(), Channel(), machine_token="machine", clock=lambda: NOW)
    directory.start()
    source.change(tokens={digest(b"fct_a"): token()})
    await directory.identify(b"fct_a")
    await directory.close()
    assert source.uses == ["t1"]
