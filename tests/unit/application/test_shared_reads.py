"""Callers who share reads get what is there when they ask, however few reads that takes."""

import asyncio

import pytest

from flexcore.application.shared_reads import SharedReads
from flexcore.domain.errors import Unavailable

pytestmark = pytest.mark.anyio


class Source:
    """A value that changes, read as slowly as the test says."""

    def __init__(self) -> None:
        self.value = 0
        self.begun = 0
        self.next = asyncio.Event()
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.failure: Exception | None = None

    async def read(self, key: str) -> tuple[str, int]:
        self.begun += 1
        self.next.set()
        found = self.value
        await self.let_go.wait()
        if self.failure is not None:
            raise self.failure
        return key, found


async def _begun(source: Source, reads: int) -> None:
    async with asyncio.timeout(5):
        while source.begun < reads:
            source.next.clear()
            await source.next.wait()


async def test_all_who_ask_in_the_same_moment_share_one_read() -> None:
    source = Source()
    shared = SharedReads(source.read)

    assert await asyncio.gather(*(shared.of("a") for _ in range(100))) == [("a", 0)] * 100

    assert source.begun == 1


async def test_who_asks_during_a_read_is_given_nothing_older_than_the_question() -> None:
    source = Source()
    shared = SharedReads(source.read)
    source.let_go.clear()
    early = asyncio.create_task(shared.of("a"))
    await _begun(source, 1)
    source.value = 1

    late = [asyncio.create_task(shared.of("a")) for _ in range(100)]
    source.let_go.set()

    assert await early == ("a", 0)
    assert await asyncio.gather(*late) == [("a", 1)] * 100
    assert source.begun == 2


async def test_keys_do_not_wait_for_each_other() -> None:
    source = Source()
    shared = SharedReads(source.read)
    source.let_go.clear()
    reads = [asyncio.create_task(shared.of(key)) for key in "ab"]

    await _begun(source, 2)
    source.let_go.set()

    assert await asyncio.gather(*reads) == [("a", 0), ("b", 0)]


async def test_a_failure_is_everybodys_and_the_next_read_is_a_new_one() -> None:
    source = Source()
    shared = SharedReads(source.read)
    source.failure = Unavailable("postgresql", "it is away")

    failed = await asyncio.gather(*(shared.of("a") for _ in range(3)), return_exceptions=True)
    source.failure = None

    assert [type(error) for error in failed] == [Unavailable] * 3
    assert await shared.of("a") == ("a", 0)


async def test_a_caller_who_goes_away_takes_nothing_from_the_others() -> None:
    source = Source()
    shared = SharedReads(source.read)
    source.let_go.clear()
    impatient = asyncio.create_task(shared.of("a"))
    patient = asyncio.create_task(shared.of("a"))
    await _begun(source, 1)

    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    source.let_go.set()

    assert await patient == ("a", 0)
    assert source.begun == 1
