"""Logging in: pauses, and nothing that tells whether there is such a user."""

from collections.abc import Sequence

import pytest

from flexcore.application.access.accounts import Credentials
from flexcore.application.access.login import Login, Subject, network
from flexcore.domain.access import Role
from flexcore.domain.errors import TooBusy, TooManyAttempts, Unauthenticated
from flexcore.infrastructure.passwords import Argon2Passwords

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """The ports of Login, noting what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.wait = 0.0
        self.disabled = False
        self.full = False

    async def credentials(self, name: str) -> Credentials | None:
        self.asked.append("credentials")
        return Credentials("u1", "ada", Role.VIEWER, self.disabled, "hash", 7) if name == "ada" else None

    def check_room(self) -> None:
        if self.full:
            raise TooBusy("full")

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self.asked.append("verify")
        return password_hash is not None and password == "right"

    async def begin(self, subjects: Sequence[Subject]) -> float:
        self.asked.append("begin")
        self.subjects = subjects
        return self.wait

    async def succeeded(self, user: Subject, source: Subject) -> None:
        self.asked.append("succeeded")

    async def issue(self, user_id: str, epoch: int) -> tuple[str, int]:
        return f"{user_id}/{epoch}", 60


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def login(world: World) -> Login:
    return Login(world, world, world, world, None)  # type: ignore[arg-type]  # doubles of what is used


async def test_the_right_password(login: Login, world: World) -> None:
    assert await login.login("ada", "right", "192.0.2.1") == ("u1/7", 60, Role.VIEWER)
    assert world.asked == ["begin", "credentials", "verify", "succeeded"]


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("eve", "right")])
async def test_a_wrong_password_and_an_unknown_user_take_the_same_way(
    login: Login, world: World, name: str, password: str
) -> None:
    with pytest.raises(Unauthenticated, match=r"^The user name or the password is wrong\.$"):
        await login.login(name, password, "192.0.2.1")
    assert world.asked == ["begin", "credentials", "verify"]


async def test_a_disabled_user_is_not_told_so(login: Login, world: World) -> None:
    world.disabled = True
    with pytest.raises(Unauthenticated, match="is wrong"):
        await login.login("ada", "right", None)
    assert "succeeded" not in world.asked


async def test_who_has_to_wait_is_told_from_memory(login: Login, world: World) -> None:
    world.wait = 30.0
    for _ in range(1000):
        with pytest.raises(TooManyAttempts) as refused:
            await login.login("ada", "right", "192.0.2.1")
        assert 1 <= refused.value.retry_after_seconds <= 31
    assert world.asked == ["begin"]


async def test_who_finds_no_room_has_not_failed(login: Login, world: World) -> None:
    world.full = True
    with pytest.raises(TooBusy):
        await login.login("ada", "right", "192.0.2.1")
    assert world.asked == []


async def test_what_was_typed_as_a_name_is_kept_nowhere(login: Login, world: World) -> None:
    with pytest.raises(Unauthenticated):
        await login.login("my-secret-password\udcff", "x", "192.0.2.1")
    assert "my-secret" not in repr(world.subjects)


def test_an_ipv6_address_counts_as_its_network() -> None:
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert network("2001:db8:1:3::9") != network("2001:db8:1:2::9")
    assert network("192.0.2.1") == "192.0.2.1"
    assert network(None) == network("") == "unknown"


async def test_argon2_takes_as_long_without_a_user() -> None:
    passwords = Argon2Passwords()
    known = await passwords.hash("the right password")
    assert known.startswith("$argon2id$")
    assert await passwords.verify(known, "the right password")
    for password_hash in (known, None, "no hash at all"):
        assert not await passwords.verify(password_hash, "a wrong password")
    await passwords.close()
