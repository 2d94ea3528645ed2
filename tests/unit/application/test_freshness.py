"""How long a question waits for its read model, and what it does meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from flexcore.application.projections import freshness as freshness_module
from flexcore.application.projections.freshness import Freshness
from flexcore.application.projections.ports import Generation, GenerationStatus
from flexcore.application.read_models.execution_history import ExecutionHistoryProjection
from flexcore.domain.errors import Unavailable
from flexcore.domain.events import RecordedEvent

pytestmark = pytest.mark.anyio

PROJECTION = ExecutionHistoryProjection()


class Model:
    """A log of ten events and a read model that is somewhere in it; the store and the feed in one."""

    def __init__(self, position: int = 0, version: int = PROJECTION.version) -> None:
        self.position = position
        self.version = version
        self.looks = 0
        self.down = False

    async def freshness(self, projection: Any) -> tuple[int, int]:
        self.looks += 1
        if self.down:
            raise Unavailable("postgresql", "PostgreSQL refuses connections")
        return 10, self.position

    async def live(self, projection: Any) -> Generation:
        return Generation("execution_history", 1, self.version, GenerationStatus.LIVE, self.position, 0.0)

    async def head(self) -> int:
        return 10

    async def feed(self, after: int, limit: int, aggregate_types: Sequence[str] | None = None) -> list[RecordedEvent]:
        return []

    async def advance(self, projection: Any, generation: Generation, position: int, **others: Any) -> Generation:
        self.position = position
        return await self.live(projection)


def asking(model: Model) -> tuple[Freshness, list[int]]:
    """Give a Freshness, and a list that grows with each nudge."""
    nudges: list[int] = []
    return Freshness(model, model, lambda: nudges.append(1)), nudges  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness_module, "LONGEST_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(freshness_module, "HELP_SECONDS", 60.0)


async def test_a_read_model_that_is_there_costs_one_look() -> None:
    model = Model(position=10)
    freshness, nudges = asking(model)
    assert await freshness.reach(PROJECTION)
    assert (model.looks, nudges) == (1, [])


async def test_the_projector_is_nudged_once_and_waited_for() -> None:
    model = Model()
    freshness, nudges = asking(model)
    question = asyncio.create_task(freshness.reach(PROJECTION))
    await asyncio.sleep(0.02)
    assert not question.done()
    model.position = 10
    assert await question
    assert nudges == [1]


async def test_a_question_does_not_wait_for_ever_and_the_next_ones_wait_less() -> None:
    model = Model()
    freshness, _ = asking(model)
    assert not await freshness.reach(PROJECTION)
    first = model.looks
    assert not await freshness.reach(PROJECTION)
    assert model.looks - first < first
    model.position = 10
    assert await freshness.reach(PROJECTION)
    model.position, before = 0, model.looks
    assert not await freshness.reach(PROJECTION)
    assert model.looks - before >= first - 2, "once it was fresh again, the whole wait is worth it again"


async def test_without_a_projector_the_node_that_is_asked_helps_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness_module, "HELP_SECONDS", 0.0)
    freshness, _ = asking(Model())
    assert await freshness.reach(PROJECTION)
    await freshness.close()


async def test_rows_of_another_release_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness_module, "HELP_SECONDS", 0.0)
    model = Model(version=PROJECTION.version + 1)
    freshness, _ = asking(model)
    assert not await freshness.reach(PROJECTION)
    assert model.position == 0
    await freshness.close()


async def test_a_database_that_is_away_is_said_at_once() -> None:
    model = Model()
    model.down = True
    with pytest.raises(Unavailable):
        await asking(model)[0].reach(PROJECTION)
