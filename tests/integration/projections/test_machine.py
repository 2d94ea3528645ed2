"""Random histories: whatever happens to the projectors, the rows are the fold of the log up to their position.

The model is the log itself, folded in memory from its first event. Projectors die between pages and in the middle of
one, several follow at once from positions that are long past, events are handed over twice, generations are built,
broken off and taken over; after every step each generation's rows are compared with the model.
"""

import asyncio
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from flexcore.application.events import Events
from flexcore.application.projections import rebuild as rebuild_module
from flexcore.application.projections.follower import Follower
from flexcore.application.projections.ports import Generation, GenerationStatus, Superseded
from flexcore.application.projections.projection import Projection, by_row, fold
from flexcore.application.projections.rebuild import rebuild
from flexcore.application.read_models.catalogue import PROJECTIONS
from flexcore.domain.events import (
    PIPELINE_AGGREGATE,
    PLUGIN_AGGREGATE,
    NewEvent,
    PipelineEvent,
    PluginEvent,
    RecordedEvent,
)
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.projections import PostgresProjections
from flexcore.infrastructure.postgres.read_model_table import table_of
from tests.servers import PostgresServer

NAMES = st.sampled_from(sorted(PROJECTIONS))
PAGES = st.integers(1, 7)
ODD = st.sampled_from([None, True, -1, 2, 1.5, "", "x", [], ["a"], {}])
FACTS = st.fixed_dictionaries(
    {"execution_id": st.sampled_from(["e1", "e2", "e3", "e4"])},
    optional={
        "attempt": st.integers(0, 3) | ODD,
        "operation": st.just("run") | ODD,
        "success": st.booleans() | ODD,
        "execution_time_ms": st.integers(0, 100) | ODD,
        "reason": st.sampled_from(["timed_out", "cancelled", "node_lost", "plugin_failed"]) | ODD,
        "name": st.just("P") | ODD,
        "version": st.sampled_from(["1.0", "1.1"]) | ODD,
        "capabilities": st.just(["json"]) | ODD,
        "timeout_seconds": st.integers(1, 300) | ODD,
        "steps": st.just([{"id": "a", "name": "A", "type": "t"}, {"id": "b"}]) | ODD,
        "step_id": st.sampled_from(["a", "b"]) | ODD,
        "queued": st.just(["a"]) | ODD,
        "retry_in_ms": st.integers(0, 9) | ODD,
    },
)
EVENTS = st.one_of(
    st.builds(NewEvent, st.sampled_from(PluginEvent), st.sampled_from("pq"), st.just(PLUGIN_AGGREGATE), FACTS),
    st.builds(NewEvent, st.sampled_from(PipelineEvent), st.sampled_from("kl"), st.just(PIPELINE_AGGREGATE), FACTS),
    st.builds(NewEvent, st.sampled_from([*PluginEvent, "Other"]), st.just("s"), st.just("Stranger"), FACTS),
)


class Repeating:
    """A feed that hands over the events before the asked position as well."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._store = store
        self.head = store.head

    async def feed(
        self, after_position: int, limit: int, aggregate_types: Sequence[str] | None = None
    ) -> list[RecordedEvent]:
        earlier = min(after_position, 3)
        return await self._store.feed(after_position - earlier, limit + earlier, aggregate_types)


class Dying:
    """A store whose user dies as it writes its `pages`-th page: before anything of it is written, or just after."""

    def __init__(self, store: PostgresProjections, pages: int, *, written: bool) -> None:
        self._store = store
        self._left = pages
        self._written = written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def advance(self, *arguments: Any, **others: Any) -> Generation:
        self._left -= 1
        if self._left > 0 or self._written:
            advanced = await self._store.advance(*arguments, **others)
        if self._left <= 0:
            raise Died
        return advanced


class Died(Exception):  # noqa: N818 - that is what it did
    pass


class ProjectionMachine(RuleBasedStateMachine):
    """One log and all read models; `access` and `server` are set by the test."""

    access: PostgresAccess
    server: PostgresServer
    runner: asyncio.Runner

    @initialize()
    def begin(self) -> None:
        with self.server.connect(database=self.access.database) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(f"TRUNCATE events, receipts, projections, {', '.join(PROJECTIONS)}")
        self.log: list[RecordedEvent] = []
        self.followers: list[Follower[Any]] = []
        self.database = Database(self.access, node_id="node1", connections=6)
        self.run(self.database.connect())
        self.store = PostgresEventStore(self.database)
        self.events = Events(self.store, lambda: str(uuid.uuid4()))
        self.projections = PostgresProjections(self.database)

    def teardown(self) -> None:
        if not hasattr(self, "database"):
            return
        for projection in PROJECTIONS.values():
            self.run(self.follower(projection, 1000).catch_up())
        self.rows_are_the_fold_of_the_log(up_to_date=True)
        self.run(self.database.close())

    @rule(events=st.lists(EVENTS, min_size=1, max_size=8))
    def append(self, events: list[NewEvent]) -> None:
        self.log += self.run(self.events.append(events)).events

    @rule(name=NAMES, page=PAGES)
    def begin_to_follow(self, name: str, page: int) -> None:
        self.followers.append(self.follower(PROJECTIONS[name], page))

    @rule(name=NAMES, page=PAGES)
    def follow(self, name: str, page: int) -> None:
        self.run(self.follower(PROJECTIONS[name], page).catch_up())

    @rule(data=st.data())
    def follow_from_a_position_of_earlier(self, data: st.DataObject) -> None:
        """A projector that was paused goes on as if nothing had happened."""
        if self.followers:
            self.try_to(data.draw(st.sampled_from(self.followers)).catch_up())

    @rule(name=NAMES, page=PAGES, events=st.lists(EVENTS, min_size=1, max_size=4))
    def deliver_twice(self, name: str, page: int, events: list[NewEvent]) -> None:
        self.append(events)
        self.follow(name, page)
        self.append(events)
        live = self.run(self.projections.live(PROJECTIONS[name]))
        repeating = Repeating(self.store)
        self.run(Follower(PROJECTIONS[name], live, repeating, self.projections, page_events=page).catch_up())

    @rule(name=NAMES, page=PAGES, pages=st.integers(1, 3), written=st.booleans())
    def die(self, name: str, page: int, pages: int, written: bool) -> None:
        live = self.run(self.projections.live(PROJECTIONS[name]))
        dying = Dying(self.projections, pages, written=written)
        self.try_to(Follower(PROJECTIONS[name], live, self.store, dying, page_events=page).catch_up())

    @rule(name=NAMES, page=PAGES)
    def follow_at_once(self, name: str, page: int) -> None:
        followers = [self.follower(PROJECTIONS[name], page) for _ in range(2)]

        async def together() -> None:
            outcomes = await asyncio.gather(*(one.catch_up() for one in followers), return_exceptions=True)
            assert all(isinstance(outcome, (bool, Superseded)) for outcome in outcomes), outcomes

        self.run(together())

    @rule(name=NAMES, page=PAGES)
    def build_anew(self, name: str, page: int) -> None:
        self.run(rebuild(PROJECTIONS[name], self.store, self.projections, page_events=page))

    @rule(name=NAMES, page=PAGES)
    def build_and_break_off(self, name: str, page: int) -> None:
        """What is left behind is in nobody's way, and nobody's rows."""
        projection = PROJECTIONS[name]

        async def build() -> None:
            await rebuild_module.discard_leftovers(projection, self.projections)
            building = await self.projections.begin(projection)
            self.followers.append(Follower(projection, building, self.store, self.projections, page_events=page))
            dying = Dying(self.projections, 2, written=False)
            await Follower(projection, building, self.store, dying, page_events=page).catch_up()

        self.try_to(build())

    @rule(name=NAMES, page=PAGES, events=st.lists(EVENTS, min_size=1, max_size=8))
    def build_while_events_come(self, name: str, page: int, events: list[NewEvent]) -> None:
        async def both() -> None:
            live = Follower(
                PROJECTIONS[name], await self.projections.live(PROJECTIONS[name]), self.store, self.projections
            )
            building = asyncio.create_task(rebuild(PROJECTIONS[name], self.store, self.projections, page_events=page))
            for event in events:
                self.log.extend((await self.events.append([event])).events)
                with suppress(Superseded):
                    await live.catch_up()
            await building
            self.followers.append(live)

        self.run(both())

    @invariant()
    def rows_are_the_fold_of_the_log(self, *, up_to_date: bool = False) -> None:
        if not hasattr(self, "projections"):
            return
        generations = self.run(self.projections.generations())
        for generation in generations:
            if generation.status is GenerationStatus.RETIRED:
                continue
            projection = PROJECTIONS[generation.name]
            model = fold(projection, {}, by_row(projection, self.log[: generation.position]))
            assert self.run(self.rows(projection, generation)) == {key: plain(row) for key, row in model.items()}
            if up_to_date and generation.status is GenerationStatus.LIVE:
                missed = by_row(projection, self.log[generation.position :])
                assert not missed, "followed to the end, and yet events are left"
        live = [generation.name for generation in generations if generation.status is GenerationStatus.LIVE]
        assert len(set(live)) == len(live)
        assert self.run(self.numbers()) <= {generation.number for generation in generations}, "rows of no generation"

    async def rows(self, projection: Projection[Any], generation: Generation) -> dict[str, Any]:
        table = table_of(projection)
        async with self.database.session() as connection:
            found = await connection.fetch(
                f"SELECT {table.list} FROM {projection.name} WHERE generation = $1",  # noqa: S608 - names of ours
                generation.number,
            )
        return {record[0]: plain(table.of(record)) for record in found}

    async def numbers(self) -> set[int]:
        """Every generation of which there are rows."""
        found: set[int] = set()
        async with self.database.session() as connection:
            for name in PROJECTIONS:
                rows = await connection.fetch(f"SELECT DISTINCT generation FROM {name}")  # noqa: S608 - names of ours
                found |= {row["generation"] for row in rows}
        return found

    def follower(self, projection: Projection[Any], page: int) -> Follower[Any]:
        live = self.run(self.projections.live(projection))
        return Follower(projection, live, self.store, self.projections, page_events=page)

    def try_to(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        with suppress(Superseded, Died):
            self.run(coroutine)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)


def plain(row: Any) -> dict[str, Any]:
    """Give a row as PostgreSQL gives it back: arrays are lists there."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(row).items()}


def test_rows_are_the_fold_of_the_log_whatever_happens(
    postgres_server: PostgresServer, runtime_access: PostgresAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "ABANDONED_SECONDS", 0.0)
    with asyncio.Runner() as runner:
        ProjectionMachine.access, ProjectionMachine.server = runtime_access, postgres_server
        ProjectionMachine.runner = runner
        run_state_machine_as_test(
            ProjectionMachine,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
