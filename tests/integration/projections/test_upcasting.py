"""Events of older releases, read by streams and projections in the newest shape of their data."""

from collections.abc import Mapping
from typing import Any

import pytest

from flexcore.application.events import EventQuery, Events
from flexcore.application.projections.follower import Follower
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent
from flexcore.domain.upcasting import Upcasters
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.projections import PostgresProjections
from tests.integration.projections.conftest import PROJECTION
from tests.integration.projections.executions import rows

pytestmark = pytest.mark.anyio


def named_execution(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"execution_id": data["execution"], "operation": "upcast"}


async def test_old_events_are_folded_and_replayed_in_the_newest_shape(
    events: Events, database: Database, projections: PostgresProjections
) -> None:
    upcasters = Upcasters()
    upcasters.register("PluginExecutionStarted", 1, named_execution)
    store = PostgresEventStore(database, upcasters)
    old = NewEvent("PluginExecutionStarted", "p", PLUGIN_AGGREGATE, {"execution": "e"})
    (recorded,) = (await events.append([old])).events

    (event,) = await store.stream(PLUGIN_AGGREGATE, "p")
    assert event.data == {"execution_id": "e", "operation": "upcast"}
    assert event.metadata["schema_version"] == 2
    await Follower(PROJECTION, await projections.live(PROJECTION), store, projections).catch_up()
    assert [(row["execution_id"], row["operation"]) for row in await rows(database)] == [("e", "upcast")]

    (as_recorded,) = (await Events(store, lambda: "").page(EventQuery())).events
    assert as_recorded == recorded, "callers, who may check the hashes, see what was recorded"
