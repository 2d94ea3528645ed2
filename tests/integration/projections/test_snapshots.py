"""Snapshots in PostgreSQL."""

import pytest

from flexcore.application.aggregates import Aggregates, Snapshot
from flexcore.application.events import Events
from flexcore.application.pipeline_snapshots import PIPELINES
from flexcore.domain.pipeline import Pipeline
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.snapshots import PostgresSnapshots
from tests.unit.domain.pipelines import METADATA, definition, step

pytestmark = pytest.mark.anyio


@pytest.fixture
def snapshots(database: Database) -> PostgresSnapshots:
    return PostgresSnapshots(database)


async def test_the_newest_of_a_shape_is_kept(snapshots: PostgresSnapshots) -> None:
    def snapshot(version: int, schema_version: int = 1, aggregate_id: str = "p") -> Snapshot:
        return Snapshot("Pipeline", aggregate_id, version, schema_version, f'"{version} Grüße"')

    assert await snapshots.newest("Pipeline", "p", 1) is None
    for each in (snapshot(200), snapshot(100), snapshot(300, schema_version=2), snapshot(400, aggregate_id="q")):
        await snapshots.keep(each)
    assert await snapshots.newest("Pipeline", "p", 1) == snapshot(200)
    await snapshots.keep(snapshot(201))
    assert await snapshots.newest("Pipeline", "p", 1) == snapshot(201)
    assert await snapshots.newest("Pipeline", "p", 2) == snapshot(300, schema_version=2)
    assert await snapshots.newest("Plugin", "p", 1) is None


async def test_a_pipeline_is_loaded_from_snapshot_and_tail(events: Events, snapshots: PostgresSnapshots) -> None:
    await events.append([Pipeline.create("p", definition(step("a")), METADATA)])
    loading = Aggregates(PIPELINES, events, snapshots, events_per_snapshot=4)
    pipeline = await loading.load("p")
    await events.append(pipeline.activate(METADATA).events)
    for number in range(3):
        await loading.follow("p", pipeline)
        started = pipeline.start(f"run{number}", {}, METADATA)
        await events.append(started.events)
        await loading.follow("p", pipeline)
        attempt = started.queued[0].attempt
        await events.append(pipeline.begin_step(attempt, "e", METADATA).events)
        await loading.follow("p", pipeline)
        await events.append(pipeline.complete_step(attempt, 1.0, METADATA).events)
    kept = await snapshots.newest("Pipeline", "p", PIPELINES.schema_version)
    assert kept is not None
    assert kept.version == 12
    whole = Pipeline.replay("p", await events.stream("Pipeline", "p"))
    assert await Aggregates(PIPELINES, events, snapshots).load("p") == whole
    assert whole.version == 14
