"""Loading from snapshot and tail gives what the whole stream gives."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from flexcore.application.aggregates import Aggregates, Snapshot
from flexcore.application.pipeline_snapshots import PIPELINES
from flexcore.domain.errors import Unavailable
from flexcore.domain.events import RecordedEvent
from flexcore.domain.pipeline import Pipeline
from tests.unit.domain.pipelines import Stream, step
from tests.unit.domain.test_pipeline_machine import PipelineMachine

pytestmark = pytest.mark.anyio

# Of the fields of a pipeline's state. When they change, raise PIPELINES.schema_version, then write the new one here.
SHAPE_OF_VERSION = (1, "00d34e5c")


class Memory:
    """Snapshots, and streams that count what is read of them."""

    def __init__(self, stream: Stream) -> None:
        self.kept: Snapshot | None = None
        self.read = 0
        self.down = False
        self._stream = stream

    async def newest(self, aggregate_type: str, aggregate_id: str, schema_version: int) -> Snapshot | None:
        assert (aggregate_type, aggregate_id) == ("Pipeline", "p")
        return self.kept if self.kept and self.kept.schema_version == schema_version else None

    async def keep(self, snapshot: Snapshot) -> None:
        if self.down:
            raise Unavailable("postgresql", "PostgreSQL refuses connections")
        self.kept = snapshot

    async def stream(self, aggregate_type: str, aggregate_id: str, after_version: int = 0) -> list[RecordedEvent]:
        found = self._stream.events[after_version:]
        self.read += len(found)
        return found


def run_once(stream: Stream) -> None:
    stream.start()
    attempt = stream.next()
    stream.begin(attempt)
    stream.complete(attempt)


@pytest.fixture
def memory() -> Memory:
    stream = Stream(step("a"))
    for _ in range(10):
        run_once(stream)
    return Memory(stream)


def aggregates(memory: Memory, events_per_snapshot: int = 10) -> Aggregates[Pipeline]:
    return Aggregates(PIPELINES, memory, memory, events_per_snapshot)


async def test_a_long_stream_is_read_once(memory: Memory) -> None:
    whole = Pipeline.replay("p", memory._stream.events)
    assert await aggregates(memory).load("p") == whole
    assert memory.read == 42
    assert await aggregates(memory).load("p") == whole
    assert memory.read == 42
    run_once(memory._stream)
    assert await aggregates(memory).load("p") == Pipeline.replay("p", memory._stream.events)
    assert memory.read == 46


async def test_a_short_stream_gets_none(memory: Memory) -> None:
    await aggregates(memory, events_per_snapshot=100).load("p")
    assert memory.kept is None


async def test_one_that_is_followed_step_by_step_gets_one_at_each_boundary(memory: Memory) -> None:
    loading = aggregates(memory)
    pipeline = await loading.load("p")
    versions = set()
    for _ in range(10):
        run_once(memory._stream)
        await loading.follow("p", pipeline)
        assert memory.kept is not None
        versions.add(memory.kept.version)
    assert versions == {42, 50, 62, 70, 82}


@pytest.mark.parametrize(
    "broken",
    ["", "[]", '{"version": 42}', '{"id": "p", "version": 41}', '{"id": "p", "version": 42, "run": {"status": 1}}'],
)
async def test_a_snapshot_that_can_not_be_used_costs_only_time(memory: Memory, broken: str) -> None:
    memory.kept = Snapshot("Pipeline", "p", 42, 1, broken)
    assert await aggregates(memory).load("p") == Pipeline.replay("p", memory._stream.events)


async def test_a_snapshot_of_another_shape_is_not_looked_at(memory: Memory) -> None:
    memory.kept = Snapshot("Pipeline", "p", 42, 99, "{}")
    assert (await aggregates(memory).load("p")).version == 42


async def test_one_that_can_not_be_kept_fails_nobody(memory: Memory) -> None:
    memory.down = True
    assert (await aggregates(memory).load("p")).version == 42


def test_another_shape_has_another_version() -> None:
    shape = msgspec.json.encode(without_words(msgspec.json.schema(Pipeline)), order="sorted")
    assert (PIPELINES.schema_version, hashlib.sha256(shape).hexdigest()[:8]) == SHAPE_OF_VERSION


def without_words(schema: Any) -> Any:
    """Leave the docstrings out of a schema."""
    if isinstance(schema, dict):
        return {key: without_words(value) for key, value in schema.items() if key not in ("title", "description")}
    return [without_words(item) for item in schema] if isinstance(schema, list) else schema


class SnapshotMachine(PipelineMachine):
    """The histories of the aggregate's own test."""

    @invariant()
    def a_snapshot_holds_all_there_is(self) -> None:
        pipeline = self.stream.pipeline
        assert msgspec.json.decode(msgspec.json.encode(pipeline), type=Pipeline) == pipeline


TestSnapshotMachine = SnapshotMachine.TestCase
TestSnapshotMachine.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
