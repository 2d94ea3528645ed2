"""Hashing passwords: in a few threads, with a bounded line before them, and never where requests are answered."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import pytest

from flexcore.domain.errors import TooBusy
from flexcore.infrastructure import passwords as module
from flexcore.infrastructure.passwords import MAX_WAITING, NICE, Argon2Passwords, threads

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class SlowHasher:
    """Hashes for as long as it is not let go on, and notes who is at it."""

    def __init__(self, **_: int) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.at_work: set[int] = set()
        self.most_at_work = 0
        self.niceness: set[int] = set()
        self.hashed = 0
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        with self._lock:
            self.at_work.add(threading.get_native_id())
            self.most_at_work = max(self.most_at_work, len(self.at_work))
            self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        self.begun.release()
        assert self.go_on.wait(30), "whoever waits for a hash is answered meanwhile"
        with self._lock:
            self.at_work.remove(threading.get_native_id())
            self.hashed += 1
        return f"hash of {password}"


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> SlowHasher:
    hasher = SlowHasher()
    monkeypatch.setattr(module, "PasswordHasher", lambda **_: hasher)
    return hasher


@pytest.fixture
async def passwords(hasher: SlowHasher) -> AsyncIterator[Argon2Passwords]:
    passwords = Argon2Passwords()
    yield passwords
    hasher.go_on.set()
    await passwords.close()


async def test_a_flood_keeps_a_few_threads_busy_and_nobody_else(passwords: Argon2Passwords, hasher: SlowHasher) -> None:
    flood = [asyncio.create_task(passwords.hash(f"password {number}")) for number in range(MAX_WAITING)]
    for _ in range(threads()):
        assert await asyncio.to_thread(hasher.begun.acquire, timeout=30)
    # They all stand still, and this goes on: nothing is hashed where requests are answered.
    with pytest.raises(TooBusy):
        passwords.check_room()
    for attempt in (passwords.hash("one more"), passwords.verify("hash", "one more")):
        with pytest.raises(TooBusy):
            await attempt
    assert hasher.niceness == {NICE}
    assert threading.get_native_id() not in hasher.at_work
    hasher.go_on.set()
    assert await asyncio.gather(*flood) == [f"hash of password {number}" for number in range(MAX_WAITING)]
    assert (hasher.most_at_work, hasher.hashed) == (threads(), MAX_WAITING)
    passwords.check_room()


@pytest.mark.parametrize(("processors", "expected"), [(None, 1), (1, 1), (2, 1), (4, 2), (8, 4), (64, 4)])
def test_half_of_the_processors_hash_and_at_most_four(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, expected: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert threads() == expected
