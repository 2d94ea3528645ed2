"""Plugins as the event log tells of them."""

import uuid
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, PluginEvent
from flexcore.domain.execution import ExecutionRecord
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
