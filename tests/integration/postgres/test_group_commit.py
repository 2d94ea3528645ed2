"""Group commit: every append for itself, in few transactions, and found again when its connection broke."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.ports import Receipt
from flexcore.domain import chain
from flexcore.domain.errors import Conflict, FlexCoreError, TooBusy, Unavailable, VersionConflict
from flexcore.domain.events import NewEvent
from flexcore.infrastructure.postgres import group_commit
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from tests.servers import PostgresServer, wait_until

pytestmark = pytest.mark.anyio


def thing(aggregate_id: str = "a", *, expected: int | None = None, **data: Any) -> NewEvent:
    return NewEvent("ThingHappened", aggregate_id, "Thing", data, {}, expected)


@pytest.fixture
def events(store: PostgresEventStore) -> Events:
    return Events(store, lambda: str(uuid.uuid4()))


def transactions(server: PostgresServer, database: str) -> int:
    with server.connect(database=database) as connection:
        (row,) = connection.execute("SELECT count(DISTINCT recorded_at) FROM events").fetchall()
    return int(row[0])


async def test_callers_share_transactions(events: Events, postgres_server: PostgresServer, database_name: str) -> None:
    await asyncio.gather(*(events.append([thing(str(number))]) for number in range(500)))
    assert transactions(postgres_server, database_name) <= 4


async def test_a_transaction_is_bounded(
    events: Events, postgres_server: PostgresServer, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_BYTES", 100_000)
    await asyncio.gather(*(events.append([thing(text="x" * 60_000)]) for _ in range(6)))
    await events.append([thing(text="x" * 200_000)])
    assert transactions(postgres_server, database_name) == 7


async def test_too_many_waiting_appends_are_told_to_come_back(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 5)
    outcomes = await asyncio.gather(*(events.append([thing()]) for _ in range(15)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[10:]] == [TooBusy] * 5
    assert await events.head() == 10


async def test_a_conflict_concerns_nobody_else(events: Events, store: PostgresEventStore) -> None:
    """Appends of one lane, so of one transaction; what a failed one would have recorded counts for nobody."""
    store._commit._lanes = store._commit._lanes[:1]
    outcomes = await asyncio.gather(
        events.append([thing(expected=0), thing("b")]),
        events.append([thing("b"), thing("c"), thing("c"), thing("b", expected=7)]),
        events.append([thing("c", expected=0), thing("b", expected=1)]),
        events.append([thing(expected=0)]),
        events.append([thing(expected=1)]),
        return_exceptions=True,
    )
    assert [isinstance(outcome, VersionConflict) for outcome in outcomes] == [False, True, False, True, False]
    assert str(outcomes[1]) == "expected version 7 of Thing 'b', but it is at version 2"
    recorded = [(event.position, event.aggregate_id, event.version) for event in await store.feed(0, 100)]
    assert recorded == [(1, "a", 1), (2, "b", 1), (3, "c", 1), (4, "b", 2), (5, "a", 2)]
    await chained(store)


async def chained(store: PostgresEventStore) -> None:
    link = chain.GENESIS
    async with store._database.session() as connection:
        rows = await connection.fetch(
            "SELECT position, id::text, version, recorded_at, type, aggregate_type, aggregate_id, data, metadata, hash "
            "FROM events ORDER BY position"
        )
    for *content, stored in rows:
        link = chain.link(link, tuple(content))
        assert stored == link


async def test_a_cancelled_caller_leaves_the_others_alone(events: Events, store: PostgresEventStore) -> None:
    tasks = [asyncio.create_task(events.append([thing(str(number))])) for number in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [n == 3 for n in range(10)]
    assert "3" not in {event.aggregate_id for event in await store.feed(0, 100)}


async def test_an_append_that_postgresql_refuses_fails_alone(events: Events) -> None:
    """A defect in one append; here its ids are no UUIDs, which only PostgreSQL finds out."""
    twice = Events(events._store, lambda: "11111111-1111-4111-8111-111111111111")
    await twice.append([thing()])
    outcomes = await asyncio.gather(
        events.append([thing()]), twice.append([thing()]), events.append([thing()]), return_exceptions=True
    )
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    assert await events.head() == 3


class TestReceipts:
    async def test_a_repeated_request_gets_the_first_answer(self, events: Events) -> None:
        receipt = Receipt("test:key", "f1", {"answer": ["ü", 1]})
        first = await events.append([thing(), thing("b")], receipt=receipt)
        again = await events.append([thing("other")], receipt=Receipt("test:key", "f1", "another answer"))
        assert (first.repeated, again.repeated) == (False, True)
        assert (again.events, again.answer) == (first.events, {"answer": ["ü", 1]})
        assert await events.head() == 2

    async def test_a_key_belongs_to_one_request(self, events: Events) -> None:
        await events.append([thing()], receipt=Receipt("test:key", "f1"))
        with pytest.raises(Conflict, match="the key 'key' was used for another request"):
            await events.append([thing()], receipt=Receipt("test:key", "f2"))
        assert await events.head() == 1

    async def test_of_many_at_once_one_is_the_first(self, events: Events) -> None:
        appended = await asyncio.gather(
            *(events.append([thing()], receipt=Receipt("test:key", "f")) for _ in range(20))
        )
        assert sorted(one.repeated for one in appended) == [False] + [True] * 19
        assert {one.events[0].id for one in appended} == {appended[0].events[0].id}
        assert await events.head() == 1

    async def test_a_request_that_failed_leaves_no_receipt(self, events: Events) -> None:
        receipt = Receipt("test:key", "f")
        with pytest.raises(VersionConflict):
            await events.append([thing(expected=5)], receipt=receipt)
        assert not (await events.append([thing()], receipt=receipt)).repeated

    async def test_a_receipt_needs_no_event(self, events: Events) -> None:
        receipt = Receipt("test:key", "f", 7)
        appended = [await events.append([], receipt=receipt) for _ in range(2)]
        assert [(one.events, one.answer, one.repeated) for one in appended] == [((), 7, False), ((), 7, True)]


async def under_load(events: Events, disturb: Callable[[], None]) -> dict[str, set[str]]:
    """Append from 32 callers while `disturb` runs; the ids of the things by what their callers were told."""
    told: dict[str, set[str]] = {"recorded": set(), "unknown": set(), "refused": set()}
    stop = False

    async def write(caller: int) -> None:
        number = 0
        while not stop:
            number += 1
            name = f"{caller}-{number}"
            try:
                await events.append([thing(name, expected=0)])
            except Unavailable as error:
                told["unknown" if "may be there or not" in str(error) else "refused"].add(name)
                await asyncio.sleep(0.01)
            except FlexCoreError:
                told["refused"].add(name)
            else:
                told["recorded"].add(name)

    writers = [asyncio.create_task(write(caller)) for caller in range(32)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(disturb)
    recorded = len(told["recorded"])
    await asyncio.to_thread(wait_until, lambda: len(told["recorded"]) > recorded + 100, 30, "appends after the fault")
    stop = True
    await asyncio.gather(*writers)
    return told


@pytest.mark.parametrize("how", ["connections cut", "server killed"])
async def test_a_transaction_whose_connection_broke_is_found_again(
    database: Database, store: PostgresEventStore, events: Events, faulty_postgres: PostgresServer, how: str
) -> None:
    def cut() -> None:
        with faulty_postgres.connect() as connection:
            for _ in range(5):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flexcore:node1'"
                )
                time.sleep(0.2)  # what is cut is not one moment but several

    def kill() -> None:
        faulty_postgres.kill()
        faulty_postgres.start()

    told = await under_load(events, cut if how == "connections cut" else kill)
    present = [event.aggregate_id for event in await store.feed(0, 1_000_000)]
    assert len(present) == len(set(present))
    assert told["recorded"] <= set(present) <= told["recorded"] | told["unknown"]
    await chained(store)
