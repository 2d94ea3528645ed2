"""Asking the read model pipeline_status."""

from collections.abc import AsyncIterator

import pytest

from flexcore.application.events import Events
from flexcore.application.projections.freshness import Freshness
from flexcore.application.projections.projector import Projector
from flexcore.application.read_models.pipeline_status import PipelineStatusProjection
from flexcore.domain.events import NewEvent
from flexcore.domain.pipeline import Pipeline
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.pipeline_status import PostgresPipelineList
from flexcore.infrastructure.postgres.projections import PostgresProjections
from tests.integration.projections.conftest import running
from tests.unit.domain.pipelines import METADATA, definition, step

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pipelines(
    database: Database, feed: PostgresEventStore, projections: PostgresProjections
) -> AsyncIterator[PostgresPipelineList]:
    projector = Projector([PipelineStatusProjection()], feed, projections)
    freshness = Freshness(feed, projections, projector.nudge)
    async with running(projector):
        yield PostgresPipelineList(database, freshness)
    await freshness.close()


async def create(events: Events, pipeline_id: str) -> Pipeline:
    created = Pipeline.create(pipeline_id, definition(step("a"), step("b", "a")), METADATA)
    return Pipeline.replay(pipeline_id, (await events.append([created])).events)


async def test_pipelines_are_listed_as_they_stand(events: Events, pipelines: PostgresPipelineList) -> None:
    assert (await pipelines.page(status=None, limit=10, offset=0)).total == 0
    first = await create(events, "first")
    for name in ("second", "third"):
        await create(events, name)
    first.take((await events.append(first.activate(METADATA).events)).events)
    first.take((await events.append(first.start("run", {}, METADATA).events)).events)
    page = await pipelines.page(status=None, limit=2, offset=1)
    assert ([row.id for row in page.pipelines], page.total) == (["second", "first"], 3)
    shown = page.pipelines[1]
    assert first.run is not None
    assert (shown.name, shown.status, shown.last_run) == ("orders", "running", first.run.started_at)
    assert [(known.id, known.type, known.status) for known in shown.steps] == [
        ("a", "processor", "queued"), ("b", "processor", "pending"),
    ]  # fmt: skip
    assert await pipelines.running() == 1
    assert [row.id for row in (await pipelines.page(status="draft", limit=9, offset=0)).pipelines] == [
        "third",
        "second",
    ]

    first.take((await events.append(first.cancel("why", METADATA).events)).events)
    assert await pipelines.running() == 0
    await events.append(first.delete(METADATA).events)
    page = await pipelines.page(status=None, limit=9, offset=0)
    assert ([row.id for row in page.pipelines], page.total) == (["third", "second"], 2)


async def test_a_stream_that_no_creation_begins_is_no_pipeline(events: Events, pipelines: PostgresPipelineList) -> None:
    await events.append([NewEvent("PipelineStarted", "odd", "Pipeline", {"queued": "odd"})])
    assert (await pipelines.page(status=None, limit=9, offset=0)).total == 0
    assert await pipelines.running() == 0
