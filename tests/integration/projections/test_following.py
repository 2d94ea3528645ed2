"""Following the log: every event once, whoever dies or competes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.projections import follower as follower_module
from flexcore.application.projections.follower import Follower
from flexcore.application.projections.ports import Superseded
from flexcore.application.projections.projector import Projector
from flexcore.application.read_models.execution_history import ExecutionQuery
from flexcore.domain.errors import LeadershipLost
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.execution_history import PostgresExecutionHistory
from flexcore.infrastructure.postgres.leadership import PostgresLeadershipTerms
from flexcore.infrastructure.postgres.projections import PostgresProjections
from tests.integration.projections.conftest import PROJECTION, running
from tests.integration.projections.executions import STRANGER, execute, expected, record, rows

pytestmark = pytest.mark.anyio

MakeFollower = Callable[..., Awaitable[Follower[Any]]]


@pytest.mark.parametrize("page_events", [1, 2, 7, 1000])
async def test_the_rows_are_the_fold_of_the_log(
    events: Events, database: Database, follower: MakeFollower, page_events: int
) -> None:
    following = await follower(page_events)
    recorded = await execute(events, 5)
    assert await following.catch_up()
    assert await rows(database) == expected(recorded)
    recorded += await execute(events, 4)
    assert await following.catch_up()
    assert not await following.catch_up()
    assert await rows(database) == expected(recorded)
    assert len(expected(recorded)) == 9


async def test_whoever_follows_after_a_crash_goes_on_where_the_last_page_ended(
    events: Events, database: Database, follower: MakeFollower, projections: PostgresProjections
) -> None:
    recorded = await execute(events, 6)
    for _ in range(20):
        broken = await follower(page_events=3)
        pages = 0

        async def advance(*arguments: Any, **others: Any) -> Any:
            nonlocal pages
            pages += 1
            if pages > 1:
                raise asyncio.CancelledError
            return await projections.advance(*arguments, **others)

        broken._store = _Replaced(projections, advance)  # type: ignore[assignment]
        try:
            await broken.catch_up()
        except asyncio.CancelledError:
            continue
        break
    assert await rows(database) == expected(recorded)


class _Replaced:
    """A store of which one method is another."""

    def __init__(self, store: PostgresProjections, advance: Any) -> None:
        self._store = store
        self.advance = advance

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_a_page_is_written_whole_or_not_at_all(
    events: Events, database: Database, follower: MakeFollower, projections: PostgresProjections
) -> None:
    recorded = await execute(events, 3)
    following = await follower(1000)
    read = projections.rows

    async def then_break(*arguments: Any, **others: Any) -> Any:
        found = await read(*arguments, **others)
        # Known rows that are not there: the rows are claimed and copied, then the transaction fails.
        async with database.session() as connection:
            await connection.execute(
                "INSERT INTO execution_history "
                "(generation, execution_id, position, plugin_id, operation, status, attempt) "
                "VALUES ($1, $2, 1, '', '', '', 1)",
                following.generation.number,
                recorded[-1].data["execution_id"],
            )
        return found

    projections.rows = then_break  # type: ignore[method-assign]
    with pytest.raises(Exception, match="duplicate key"):
        await following.catch_up()
    (live,) = await projections.generations()
    assert live.position == 0
    assert len(await rows(database)) == 1, "the one that was in the way"


async def test_of_two_that_follow_at_once_one_writes_each_page(
    events: Events, database: Database, follower: MakeFollower
) -> None:
    recorded = await execute(events, 30)
    followers = [await follower(page_events=4) for _ in range(3)]
    outcomes = await asyncio.gather(*(one.catch_up() for one in followers), return_exceptions=True)
    assert sum(isinstance(outcome, Superseded) for outcome in outcomes) == 2
    assert [outcome for outcome in outcomes if outcome is True] == [True]
    assert await rows(database) == expected(recorded)


async def test_two_projectors_at_once_do_no_harm(
    events: Events,
    database: Database,
    feed: PostgresEventStore,
    projections: PostgresProjections,
    history: PostgresExecutionHistory,
    projector: Projector,
) -> None:
    other = Projector([PROJECTION], feed, projections)
    recorded = []
    async with running(projector, other):
        for _ in range(20):
            recorded += await execute(events, 2)
            projector.wake()
            other.wake()
            await asyncio.sleep(0.01)
        assert len((await history.page(ExecutionQuery(limit=200))).executions) == 40
    assert await rows(database) == expected(recorded)


async def test_events_of_others_move_the_position_without_a_write_each(
    events: Events, follower: MakeFollower, projections: PostgresProjections, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = await follower()

    async def position() -> int:
        (live,) = await projections.generations()
        return live.position

    await events.append([STRANGER] * 10)
    assert not await following.catch_up()
    assert await position() == 0
    await following.settle()
    assert await position() == 10
    monkeypatch.setattr(follower_module, "LAZY_SECONDS", 0.0)
    await events.append([STRANGER] * 10)
    await following.catch_up()
    assert await position() == 20
    await execute(events, 1)
    await following.catch_up()
    assert await position() == 23


async def test_a_log_at_rest_is_not_left_ahead_of_the_position(
    events: Events, follower: MakeFollower, projections: PostgresProjections, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = await follower()
    await events.append([STRANGER] * 10)
    await following.catch_up()
    monkeypatch.setattr(follower_module, "LAZY_SECONDS", 0.0)
    await following.catch_up()
    (live,) = await projections.generations()
    assert live.position == 10


async def test_a_query_sees_what_was_recorded_before_it(
    events: Events, history: PostgresExecutionHistory, projector: Projector
) -> None:
    async with running(projector):
        for _ in range(30):
            execution = record()
            await events.append([execution.started(30)])
            await events.append([STRANGER] * 3)
            found = await history.get(execution.execution_id)
            assert found is not None
            assert found.status == "running"


async def test_without_a_projector_the_node_that_is_asked_does_its_work(
    events: Events, history: PostgresExecutionHistory, database: Database
) -> None:
    recorded = await execute(events, 5)
    page = await history.page(ExecutionQuery())
    assert len(page.executions) == 5
    assert await rows(database) == expected(recorded)


async def test_a_leader_of_an_earlier_term_writes_nothing(
    events: Events, database: Database, follower: MakeFollower, projector: Projector
) -> None:
    terms = PostgresLeadershipTerms(database)
    earlier = await terms.take("node1")
    following = await follower()
    following._token = earlier
    await execute(events, 1)
    await following.catch_up()
    later = await terms.take("node2")
    recorded = await execute(events, 1)
    with pytest.raises(LeadershipLost):
        await following.catch_up()
    assert len(await rows(database)) == 1
    with pytest.raises(LeadershipLost):
        await projector.run(earlier)
    async with running(projector, token=later):
        await until_fresh(database, recorded[-1].position)
    assert len(await rows(database)) == 2


async def until_fresh(database: Database, position: int) -> None:
    """Return once the rows reflect `position`; fails after a while."""
    async with asyncio.timeout(10):
        while True:
            if (await PostgresProjections(database).freshness(PROJECTION))[1] >= position:
                return
            await asyncio.sleep(0.01)
