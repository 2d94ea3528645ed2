"""Plugins as the event log tells of them."""

import uuid
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.ports import ExecutionStatistics
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, PluginEvent
from flexcore.domain.execution import ExecutionRecord, FailureReason
from flexcore.infrastructure.postgres import plugin_history
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.plugin_history import PostgresPluginHistory

pytestmark = pytest.mark.anyio


def new_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def events(store: PostgresEventStore) -> Events:
    return Events(store, new_id)


@pytest.fixture
def history(database: Database) -> PostgresPluginHistory:
    return PostgresPluginHistory(database)


def record(plugin_id: str = "p") -> ExecutionRecord:
    return ExecutionRecord(new_id(), plugin_id, "run", {"correlation_id": "c"})


def lifecycle(event_type: PluginEvent, plugin_id: str = "p", **data: Any) -> NewEvent:
    return NewEvent(event_type, plugin_id, PLUGIN_AGGREGATE, data)


async def test_lifecycle_leaves_executions_and_other_aggregates_out(
    events: Events, history: PostgresPluginHistory
) -> None:
    await events.append(
        [
            lifecycle(PluginEvent.REGISTERED),
            record().started(1),
            lifecycle(PluginEvent.REGISTERED, "q"),
            NewEvent(PluginEvent.REGISTERED, "p", "Impostor"),
            lifecycle(PluginEvent.DISABLED),
        ]
    )
    assert [event.version for event in await history.lifecycle("p")] == [1, 3]
    assert [event.aggregate_id for event in await history.lifecycle()] == ["p", "q", "p"]
    assert await history.lifecycle("unknown") == []


async def test_stream_version_counts_every_event_of_the_plugin(events: Events, history: PostgresPluginHistory) -> None:
    assert await history.stream_version("p") == 0
    await events.append([lifecycle(PluginEvent.REGISTERED), record().started(1)])
    assert await history.stream_version("p") == 2


async def test_statistics_of_a_plugin_without_executions(events: Events, history: PostgresPluginHistory) -> None:
    await events.append([lifecycle(PluginEvent.REGISTERED)])
    assert await history.statistics(["p"]) == {"p": ExecutionStatistics()}
    assert await history.statistics([]) == {}


async def test_statistics_add_up(events: Events, history: PostgresPluginHistory) -> None:
    good, bad, broken, running = record(), record(), record(), record()
    await events.append([good.started(1), good.completed(success=True, execution_time_ms=10)])
    await events.append([bad.started(1), bad.completed(success=False, execution_time_ms=20)])
    first = (await history.statistics(["p"]))["p"]
    assert (first.total, first.successful, first.failed, first.average_duration_ms) == (2, 1, 1, 15)
    assert first.last_failed

    await events.append([broken.started(1), broken.failed(FailureReason.TIMED_OUT, "slow", 60)])
    (started,) = (await events.append([running.started(1)])).events
    second = (await history.statistics(["p"]))["p"]
    assert (second.total, second.successful, second.failed, second.average_duration_ms) == (4, 1, 2, 30)
    assert second.last_execution == started.timestamp
    assert second.last_failed

    await events.append([running.completed(success=True, execution_time_ms=10)])
    third = (await history.statistics(["p"]))["p"]
    assert (third.successful, third.last_failed, third.last_execution) == (2, False, started.timestamp)


async def test_plugins_do_not_mix_and_strangers_do_not_count(events: Events, history: PostgresPluginHistory) -> None:
    one, other = record("one"), record("other")
    await events.append(
        [
            one.started(1),
            other.started(1),
            other.completed(success=True, execution_time_ms=1),
            NewEvent(PluginEvent.EXECUTION_STARTED, "one", "Impostor"),
        ]
    )
    statistics = await history.statistics(["one", "other"])
    assert (statistics["one"].total, statistics["one"].successful) == (1, 0)
    assert (statistics["other"].total, statistics["other"].successful) == (1, 1)


async def test_a_node_that_just_started_gives_the_same_answer(
    events: Events, history: PostgresPluginHistory, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        execution = record()
        await events.append(
            [execution.started(1), execution.completed(success=number % 3 > 0, execution_time_ms=number)]
        )
        await history.statistics(["p"])
    monkeypatch.setattr(plugin_history, "CHUNK_POSITIONS", 4)
    assert await PostgresPluginHistory(database).statistics(["p"]) == await history.statistics(["p"])


@pytest.mark.parametrize(
    "data", [{}, {"success": "perhaps"}, {"success": True, "execution_time_ms": "long"}, {"execution_time_ms": None}]
)
async def test_odd_data_does_not_break_the_statistics(
    events: Events, history: PostgresPluginHistory, data: dict[str, Any]
) -> None:
    await events.append([lifecycle(PluginEvent.EXECUTION_COMPLETED, **data)])
    assert (await history.statistics(["p"]))["p"].total == 0
