"""A projection that can't go on: it says why, harms no other, and goes on once it can."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from flexcore.application.events import Events
from flexcore.application.projections import projector as projector_module
from flexcore.application.projections.lag import ProjectionLag
from flexcore.application.projections.projector import Projector
from flexcore.application.read_models.execution_history import ExecutionHistoryProjection
from flexcore.application.read_models.plugin_inventory import PluginInventoryProjection
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.event_store import PostgresEventStore
from flexcore.infrastructure.postgres.projections import PostgresProjections
from tests.integration.projections.conftest import running
from tests.integration.projections.executions import execute, expected, rows
from tests.servers import PostgresServer

pytestmark = pytest.mark.anyio


class Broken(ExecutionHistoryProjection):
    """A fold with a defect, until it is mended."""

    mended = False

    def apply(self, row: Any, event: Any) -> Any:
        if not self.mended:
            raise KeyError("forgotten")
        return super().apply(row, event)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector_module, "LAST_RETRY_SECONDS", 0.1)


async def until(holds: Callable[[dict[str, Any]], bool], projections: PostgresProjections) -> None:
    """Return once the generations are as wanted; fails after a while."""
    async with asyncio.timeout(20):
        while True:
            if holds({generation.name: generation for generation in await projections.generations()}):
                return
            await asyncio.sleep(0.02)


async def test_a_defect_is_said_and_the_others_go_on(
    events: Events,
    database: Database,
    feed: PostgresEventStore,
    projections: PostgresProjections,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Broken()
    recorded = await execute(events, 3)
    async with running(Projector([broken, PluginInventoryProjection()], feed, projections)):
        await until(
            lambda found: (
                len(found) == 2
                and found["execution_history"].failure == "KeyError: 'forgotten'"
                and found["plugin_inventory"].position == 9
            ),
            projections,
        )
        await asyncio.sleep(0.5)
        said = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert [record.getMessage() for record in said] == ["execution_history stands still: 'forgotten'; trying on"], (
            "once, not at each try"
        )
        assert await ProjectionLag(feed, projections)._look() == {"execution_history": 9, "plugin_inventory": 0}

        broken.mended = True
        await until(lambda found: found["execution_history"].position == 9, projections)
    assert await rows(database) == expected(recorded)
    assert {generation.failure for generation in await projections.generations()} == {None}


async def test_a_database_that_goes_and_comes_back(
    events: Events,
    database: Database,
    feed: PostgresEventStore,
    projections: PostgresProjections,
    projector: Projector,
    faulty_postgres: PostgresServer,
) -> None:
    recorded = await execute(events, 3)
    async with running(projector):
        await until(lambda found: len(found) == 1 and found["execution_history"].position == 9, projections)
        await asyncio.to_thread(faulty_postgres.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(faulty_postgres.start)
        async with asyncio.timeout(20):
            while True:
                try:
                    recorded += await execute(events, 2)
                except Exception:  # noqa: BLE001 - whatever it says while it is away
                    await asyncio.sleep(0.1)
                else:
                    break
        await until(lambda found: found["execution_history"].position == 15, projections)
    assert await rows(database) == expected(recorded)
