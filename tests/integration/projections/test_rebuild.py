"""Building a read model anew while it serves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.projections import rebuild as rebuild_module
from flexcore.application.projections.follower import Follower
from flexcore.application.projections.ports import GenerationStatus, Superseded
from flexcore.application.projections.projector import Projector
from flexcore.application.projections.rebuild import rebuild
from flexcore.application.read_models.execution_history import ExecutionHistoryProjection, ExecutionQuery
from flexcore.domain.errors import Conflict
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.execution_history import PostgresExecutionHistory
from flexcore.infrastructure.postgres.projections import PostgresProjections
from tests.integration.projections.conftest import PROJECTION, running
from tests.integration.projections.executions import execute, expected, rows

pytestmark = pytest.mark.anyio

MakeFollower = Callable[..., Awaitable[Follower[Any]]]


async def spoil(database: Database) -> None:
    """Change every row by hand, so that only a rebuild puts it right."""
    async with database.session() as connection:
        await connection.execute("UPDATE execution_history SET operation = 'spoiled'")


async def test_a_rebuild_puts_right_what_was_wrong(
    events: Events,
    database: Database,
    follower: MakeFollower,
    feed: PostgresEventStore,
    projections: PostgresProjections,
) -> None:
    recorded = await execute(events, 8)
    await (await follower()).catch_up()
    await spoil(database)
    told: list[int] = []
    built = await rebuild(PROJECTION, feed, projections, page_events=5, progress=told.append)
    assert built.position == 24
    assert told == sorted(told)
    assert len(told) > 3
    assert await rows(database) == expected(recorded)
    (only,) = await projections.generations()
    assert (only.number, only.status) == (built.number, GenerationStatus.LIVE)


async def test_rebuilding_while_events_keep_coming_and_queries_are_answered(
    events: Events,
    database: Database,
    feed: PostgresEventStore,
    projections: PostgresProjections,
    history: PostgresExecutionHistory,
    projector: Projector,
) -> None:
    recorded = await execute(events, 50)
    done = asyncio.Event()

    async def keep_executing() -> None:
        while not done.is_set():
            recorded.extend(await execute(events, 1))
            projector.wake()
            await asyncio.sleep(0)

    async def keep_asking() -> None:
        while not done.is_set():
            before = sum(event.type == "PluginExecutionStarted" for event in recorded)
            page = await history.page(ExecutionQuery(limit=200))
            assert len(page.executions) >= min(before, 200), "a query sees neither nothing nor half"
            assert len({row.execution_id for row in page.executions}) == len(page.executions)

    async with running(projector), asyncio.TaskGroup() as group:
        group.create_task(keep_executing())
        group.create_task(keep_asking())
        for _ in range(3):
            await rebuild(PROJECTION, feed, projections, page_events=20)
        done.set()
    await (await follower_of(projections, feed)).catch_up()
    assert await rows(database) == expected(recorded)


async def follower_of(projections: PostgresProjections, feed: PostgresEventStore) -> Follower[Any]:
    return Follower(PROJECTION, await projections.live(PROJECTION), feed, projections)


async def test_a_new_generation_does_not_answer_before_it_has_caught_up(
    events: Events, follower: MakeFollower, projections: PostgresProjections
) -> None:
    await execute(events, 2)
    await (await follower()).catch_up()
    building = await projections.begin(PROJECTION)
    assert not await projections.promote(building)
    building = await projections.advance(PROJECTION, building, 6, new={}, changed={})
    assert await projections.promote(building)


async def test_the_old_generation_takes_nothing_after_the_new_one_took_over(
    events: Events,
    database: Database,
    follower: MakeFollower,
    feed: PostgresEventStore,
    projections: PostgresProjections,
) -> None:
    await execute(events, 2)
    old = await follower()
    await old.catch_up()
    await rebuild(PROJECTION, feed, projections)
    recorded = await execute(events, 2)
    with pytest.raises(Superseded):
        await old.catch_up()
    assert len(await rows(database)) == 2
    assert len(recorded) == 6


async def test_only_one_builds_at_a_time_and_an_abandoned_build_is_replaced(
    events: Events,
    database: Database,
    follower: MakeFollower,
    feed: PostgresEventStore,
    projections: PostgresProjections,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = await execute(events, 4)
    abandoned = Follower(PROJECTION, await projections.begin(PROJECTION), feed, projections)
    await abandoned.catch_up()
    with pytest.raises(Superseded, match="another build"):
        await projections.begin(PROJECTION)
    with pytest.raises(Conflict, match="being rebuilt already, at event 12"):
        await rebuild(PROJECTION, feed, projections)
    monkeypatch.setattr(rebuild_module, "ABANDONED_SECONDS", 0.0)
    await rebuild(PROJECTION, feed, projections)
    assert await rows(database) == expected(recorded)
    await execute(events, 1)
    with pytest.raises(Superseded):
        await abandoned.catch_up()


async def test_what_answers_is_not_deleted(follower: MakeFollower, projections: PostgresProjections) -> None:
    await follower()
    (live,) = await projections.generations()
    with pytest.raises(Superseded, match="answers queries now"):
        await projections.discard(live)


async def test_a_build_that_is_interrupted_takes_its_rows_away(
    events: Events,
    database: Database,
    follower: MakeFollower,
    feed: PostgresEventStore,
    projections: PostgresProjections,
) -> None:
    recorded = await execute(events, 8)
    await (await follower()).catch_up()
    begun = asyncio.Event()
    building = asyncio.create_task(
        rebuild(PROJECTION, feed, projections, page_events=1, progress=lambda position: begun.set())
    )
    await begun.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    (only,) = await projections.generations()
    assert only.status is GenerationStatus.LIVE
    assert await rows(database) == expected(recorded)


class NextRelease(ExecutionHistoryProjection):
    """A fold that says something else of the same events."""

    version = ExecutionHistoryProjection.version + 1

    def apply(self, row: Any, event: Any) -> Any:
        row = super().apply(row, event)
        row.operation = "version 2"
        return row


async def test_a_release_with_another_fold_builds_anew_and_older_nodes_keep_off(
    events: Events,
    database: Database,
    feed: PostgresEventStore,
    projections: PostgresProjections,
    projector: Projector,
    history: PostgresExecutionHistory,
) -> None:
    await execute(events, 5)
    async with running(projector):
        assert len((await history.page(ExecutionQuery())).executions) == 5
    async with running(Projector([NextRelease()], feed, projections)):
        await until(lambda: operations(database), {"version 2"})
    async with running(projector):
        await execute(events, 1)
        await asyncio.sleep(0.3)
    assert len(await rows_of_live(database)) == 5, "an older node folded into a newer release's rows"


async def until(ask: Callable[[], Awaitable[set[str]]], wanted: set[str]) -> None:
    """Return once `ask` gives `wanted`; fails after a while."""
    async with asyncio.timeout(10):
        while True:
            if await ask() == wanted:
                return
            await asyncio.sleep(0.02)


async def operations(database: Database) -> set[str]:
    return {row["operation"] for row in await rows_of_live(database)}


async def rows_of_live(database: Database) -> list[dict[str, Any]]:
    async with database.session() as connection:
        return [
            dict(row)
            for row in await connection.fetch(
                "SELECT h.* FROM execution_history h JOIN projections p USING (generation) "
                "WHERE p.name = 'execution_history' AND p.status = 'live'"
            )
        ]
