"""Asking the read model plugin_inventory."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.ports import ExecutionStatistics
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, PluginEvent
from flexcore.domain.execution import FailureReason
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.leadership import PostgresLeadershipTerms
from flexcore.infrastructure.postgres.plugin_inventory import PostgresPluginInventory
from flexcore.infrastructure.postgres.read_models import ReadModels
from tests.integration.projections.conftest import Leader
from tests.integration.projections.executions import record
from tests.unit.application.cluster_doubles import Channel

pytestmark = pytest.mark.anyio

REGISTERED = {
    "name": "P", "version": "1.0", "type": "processor", "description": "d", "entry_point": "m:C",
    "capabilities": ["json"], "dependencies": ["q"],
}  # fmt: skip


@pytest.fixture
async def read_models(database: Database, feed: PostgresEventStore) -> AsyncIterator[ReadModels]:
    channel, leader = Channel(), Leader(await PostgresLeadershipTerms(database).take("node1"))
    models = ReadModels(database, feed, channel, leader)
    models.start()
    async with leader.term():
        yield models
    await models.close()


@pytest.fixture
def inventory(read_models: ReadModels) -> PostgresPluginInventory:
    return read_models.plugins


def lifecycle(event_type: PluginEvent, plugin_id: str = "p", **data: Any) -> NewEvent:
    return NewEvent(event_type, plugin_id, PLUGIN_AGGREGATE, data)


async def test_statistics_of_a_plugin_without_executions(events: Events, inventory: PostgresPluginInventory) -> None:
    await events.append([lifecycle(PluginEvent.REGISTERED)])
    assert await inventory.statistics(["p"]) == {"p": ExecutionStatistics()}
    assert await inventory.statistics(["unknown"]) == {"unknown": ExecutionStatistics()}
    assert await inventory.statistics([]) == {}


async def test_statistics_add_up_at_once(events: Events, inventory: PostgresPluginInventory) -> None:
    good, bad, broken, running = record(), record(), record(), record()
    await events.append([good.started(1), good.completed(success=True, execution_time_ms=10)])
    await events.append([bad.started(1), bad.completed(success=False, execution_time_ms=20)])
    first = (await inventory.statistics(["p"]))["p"]
    assert (first.total, first.successful, first.failed, first.average_duration_ms) == (2, 1, 1, 15)
    assert first.last_failed

    await events.append([broken.started(1), broken.failed(FailureReason.TIMED_OUT, "slow", 60)])
    (started,) = (await events.append([running.started(1)])).events
    second = (await inventory.statistics(["p"]))["p"]
    assert (second.total, second.successful, second.failed, second.average_duration_ms) == (4, 1, 2, 30)
    assert second.last_execution == started.timestamp
    assert second.last_failed

    await events.append([running.completed(success=True, execution_time_ms=10)])
    third = (await inventory.statistics(["p"]))["p"]
    assert (third.successful, third.last_failed, third.last_execution) == (2, False, started.timestamp)


async def test_plugins_do_not_mix_and_strangers_do_not_count(
    events: Events, inventory: PostgresPluginInventory
) -> None:
    one, other = record("one"), record("other")
    await events.append(
        [
            one.started(1),
            other.started(1),
            other.completed(success=True, execution_time_ms=1),
            NewEvent(PluginEvent.EXECUTION_STARTED, "one", "Impostor"),
        ]
    )
    statistics = await inventory.statistics(["one", "other"])
    assert (statistics["one"].total, statistics["one"].successful) == (1, 0)
    assert (statistics["other"].total, statistics["other"].successful) == (1, 1)


async def test_active_plugins(events: Events, inventory: PostgresPluginInventory) -> None:
    await events.append([
        lifecycle(PluginEvent.REGISTERED, "b", **REGISTERED), lifecycle(PluginEvent.REGISTERED, "a", **REGISTERED),
        lifecycle(PluginEvent.REGISTERED, "off", **REGISTERED), lifecycle(PluginEvent.DISABLED, "off"),
        lifecycle(PluginEvent.REGISTERED, "gone", **REGISTERED), lifecycle(PluginEvent.REMOVED, "gone"),
        record("stranger").started(1),
    ])  # fmt: skip
    found = await inventory.active()
    assert [row.plugin_id for row in found] == ["a", "b"]
    assert (found[0].name, found[0].version, list(found[0].capabilities)) == ("P", "1.0", ["json"])


async def test_the_system_as_a_whole(events: Events, read_models: ReadModels) -> None:
    assert (await read_models.system.read()).executions_started == 0
    good, bad, late = record(), record(), record()
    await events.append([
        lifecycle(PluginEvent.REGISTERED), good.started(1), bad.started(1), late.started(1),
        good.completed(success=True, execution_time_ms=1), bad.completed(success=False, execution_time_ms=2),
        late.failed(FailureReason.TIMED_OUT, "late", 3),
    ])  # fmt: skip
    row = await read_models.system.read()
    assert (row.plugins_registered, row.executions_started, row.executions_completed) == (1, 3, 2)
    assert (row.executions_unsuccessful, row.executions_timed_out, row.execution_ms) == (1, 1, 6.0)
