"""The event store: versions, order, all or nothing, filters."""

import asyncio
import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.ports import EventQuery
from flexcore.domain.errors import Unavailable, VersionConflict
from flexcore.domain.events import NewEvent, RecordedEvent
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.migrate import migrate
from tests.integration.conftest import access
from tests.servers import PostgresServer, wait_until

pytestmark = pytest.mark.anyio


def new_id() -> str:
    return str(uuid.uuid4())


def thing(aggregate_id: str = "a", *, expected: int | None = None, **data: Any) -> NewEvent:
    return NewEvent("ThingHappened", aggregate_id, "Thing", data, {"correlation_id": "c-1"}, expected)


@pytest.fixture
def events(store: PostgresEventStore) -> Events:
    return Events(store, new_id)


async def everything(store: PostgresEventStore) -> list[RecordedEvent]:
    return await store.feed(0, 100_000)


async def test_an_event_comes_back_as_it_was_given(events: Events, store: PostgresEventStore) -> None:
    data = {"text": "Grüße ∞", "numbers": [1, -2.5, 10**30], "nested": {"none": None, "yes": True}}
    before = datetime.now(UTC)
    (recorded,) = (
        await events.append([NewEvent("ThingHappened", "a/b c", "Thing", data, {"correlation_id": "c"})])
    ).events
    assert await everything(store) == [recorded]
    assert (recorded.position, recorded.version, recorded.data) == (1, 1, data)
    assert uuid.UUID(recorded.id)
    assert before - timedelta(minutes=1) < recorded.timestamp < datetime.now(UTC) + timedelta(minutes=1)


async def test_versions_count_each_stream_and_positions_count_all(events: Events) -> None:
    recorded = (await events.append([thing("a"), thing("b"), thing("a"), thing("a")])).events
    recorded += (await events.append([thing("b")])).events
    assert [event.position for event in recorded] == [1, 2, 3, 4, 5]
    assert [(event.aggregate_id, event.version) for event in recorded] == [
        ("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2),
    ]  # fmt: skip


async def test_streams_of_different_types_do_not_mix(events: Events) -> None:
    (one,) = (await events.append([NewEvent("X", "same", "Thing")])).events
    (other,) = (await events.append([NewEvent("X", "same", "Other")])).events
    assert (one.version, other.version) == (1, 1)


async def test_expected_version_holds_or_nothing_is_written(events: Events, store: PostgresEventStore) -> None:
    await events.append([thing(expected=0)])
    await events.append([thing(expected=1), thing(expected=2)])
    with pytest.raises(VersionConflict, match="expected version 1 of Thing 'a', but it is at version 3"):
        await events.append([thing("other"), thing(expected=1)])
    assert [(event.aggregate_id, event.version) for event in await everything(store)] == [("a", 1), ("a", 2), ("a", 3)]


async def test_a_refused_append_leaves_no_gap(events: Events) -> None:
    with pytest.raises(VersionConflict):
        await events.append([thing(expected=7)])
    (recorded,) = (await events.append([thing()])).events
    assert recorded.position == 1


async def test_of_many_racing_writers_one_wins_each_version(events: Events, store: PostgresEventStore) -> None:
    async def write() -> int:
        won = 0
        for version in range(10):
            try:
                await events.append([thing(expected=version)])
                won += 1
            except VersionConflict:
                pass
        return won

    assert sum(await asyncio.gather(*(write() for _ in range(8)))) == 10
    assert [event.version for event in await everything(store)] == list(range(1, 11))


async def test_a_reader_never_sees_a_gap_that_later_fills(
    events: Events, store: PostgresEventStore, postgres_server: PostgresServer, database_name: str
) -> None:
    """One writer holds its transaction open; another one must not overtake it in the order."""
    slow = postgres_server.connect(postgres_server.runtime, database_name)
    slow.autocommit = False
    slow.execute(
        "SELECT append_events(ARRAY['Thing'], ARRAY['s'], ARRAY[0], ARRAY[1], %s::uuid[], ARRAY['Slow'], "
        "ARRAY['{}'], ARRAY['{}'], ARRAY[NULL::bigint], '{}', '{}', '{}', '{}', '{}', '{}')",
        ([new_id()],),
    )
    fast = asyncio.create_task(events.append([thing("fast")]))
    await asyncio.to_thread(wait_for_lock_waiter, postgres_server, database_name)
    assert await everything(store) == []
    slow.commit()
    slow.close()
    await fast
    assert [event.type for event in await everything(store)] == ["Slow", "ThingHappened"]


def wait_for_lock_waiter(server: PostgresServer, database: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = %s"
    with server.connect() as connection:
        wait_until(lambda: connection.execute(waiting, (database,)).fetchone() == (1,), 5, "a writer waiting its turn")


async def test_a_log_held_by_someone_else_is_an_error_in_bounded_time(
    events: Events, postgres_server: PostgresServer, database_name: str
) -> None:
    with postgres_server.connect(postgres_server.runtime, database_name) as holder, holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(7305201002)")
        with pytest.raises(Unavailable, match="another transaction holds the event log"):
            await events.append([thing()])
    await events.append([thing()])


async def test_concurrent_positions_have_no_gap_and_no_repeat(events: Events, store: PostgresEventStore) -> None:
    seen: list[int] = []
    writers = [asyncio.create_task(events.append([thing(str(n)), thing(str(n))])) for n in range(60)]
    async with asyncio.timeout(60):
        while len(seen) < 120:
            page = await store.feed(seen[-1] if seen else 0, 1000)
            seen.extend(event.position for event in page)
    await asyncio.gather(*writers)
    assert seen == list(range(1, 121))


async def test_filters(events: Events) -> None:
    async def record(new: list[NewEvent]) -> tuple[RecordedEvent, ...]:
        return (await events.append(new)).events

    recorded = await record([
        NewEvent("Started", "a", "Thing"),
        NewEvent("Ended", "a", "Thing"),
        NewEvent("Started", "b", "Thing"),
        NewEvent("Started", "a", "Other"),
    ])  # fmt: skip
    everything = recorded + await record([NewEvent("Ended", "b", "Thing")])

    async def found(**filters: Any) -> list[int]:
        return [event.position for event in (await events.page(EventQuery(**filters))).events]

    assert await found(aggregate_id="a") == [1, 2, 4]
    assert await found(aggregate_type="Thing", aggregate_id="a") == [1, 2]
    assert await found(event_type="Started") == [1, 3, 4]
    assert await found(event_type="Started", aggregate_type="Other") == [4]
    assert await found(event_type="Nothing") == []
    assert await found(from_timestamp=everything[-1].timestamp) == [5]
    assert await found(to_timestamp=everything[-1].timestamp) == [1, 2, 3, 4]
    assert await found(from_timestamp=everything[0].timestamp, to_timestamp=everything[0].timestamp) == []


async def test_pages_follow_each_other_without_gap_or_repeat(events: Events) -> None:
    await events.append([thing(number=number) for number in range(10)])
    positions, cursor = [], None
    for _ in range(4):
        page = await events.page(EventQuery(limit=3, cursor=cursor))
        positions += [event.position for event in page.events]
        cursor = page.next_cursor
        if not page.has_more:
            break
    assert positions == list(range(1, 11))

    empty = await events.page(EventQuery(cursor=cursor))
    assert (empty.events, empty.has_more) == ((), False)
    await events.append([thing()])
    newer = await events.page(EventQuery(cursor=empty.next_cursor))
    assert [event.position for event in newer.events] == [11]


async def test_the_head_is_the_last_position(events: Events) -> None:
    assert await events.head() == 0
    await events.append([thing(), thing()])
    assert await events.head() == 2


@pytest.mark.parametrize("text", ["Grüße", "\u2028", "🙂", '"\\', "<script>", "a" * 100_000])
async def test_any_text_survives(events: Events, store: PostgresEventStore, text: str) -> None:
    await events.append([NewEvent("X", "a", "Thing", {"text": text}, {text[:50]: 1})])
    (recorded,) = await everything(store)
    assert (recorded.data, recorded.metadata) == ({"text": text}, {text[:50]: 1})


async def test_an_unmigrated_database_says_what_to_do(postgres_server: PostgresServer, empty_database: str) -> None:
    database = Database(access(postgres_server, empty_database, postgres_server.runtime), node_id="n")
    await database.connect()
    try:
        with pytest.raises(Unavailable, match="run 'flexcore migrate'"):
            await Events(PostgresEventStore(database), new_id).append([thing()])
        with pytest.raises(Unavailable, match="run 'flexcore migrate'"):
            await PostgresEventStore(database).head()
    finally:
        await database.close()


async def test_appending_does_not_read_more_as_the_log_grows(
    postgres_server: PostgresServer, empty_database: str
) -> None:
    """PostgreSQL plans on the empty table; the plan must still be the right one for a long one."""
    migrate(access(postgres_server, empty_database, postgres_server.owner), postgres_server.runtime)
    database = Database(access(postgres_server, empty_database, postgres_server.runtime), node_id="n", connections=1)
    await database.connect()
    events = Events(PostgresEventStore(database), new_id)
    for _ in range(10):
        await events.append([thing()])
    await events.append([thing() for _ in range(990)])
    await database.close()  # which makes its sessions report what they did

    with postgres_server.connect(database=empty_database) as connection:

        def figures() -> tuple[int, int, int]:
            (row,) = connection.execute(
                "SELECT n_tup_ins, seq_tup_read, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'events'"
            ).fetchall()
            return row

        await asyncio.to_thread(wait_until, lambda: figures()[0] == 1000, 10, "the sessions' report")
        _, read_without_index, rows_read = figures()
        index_reads = "SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE relname = 'events'"
        assert connection.execute(index_reads).fetchone() <= (2 * 1000,)
        assert read_without_index == 0
        assert rows_read <= 2 * 1000


async def test_many_appends_queue_for_few_connections(events: Events) -> None:
    appended = await asyncio.gather(*(events.append([thing(str(n))]) for n in range(200)))
    recorded = itertools.chain.from_iterable(one.events for one in appended)
    assert sorted(event.position for event in recorded) == list(range(1, 201))
