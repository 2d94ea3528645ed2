"""Drain and resume: facts in the log that the node follows, and what the callers are told."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from flexcore.application import drain as drain_module
from flexcore.application.cluster import Cluster
from flexcore.application.drain import Drain
from flexcore.application.events import Events
from flexcore.application.leadership import LeaderElection
from flexcore.application.membership import Heartbeat, Membership, NodeRecord
from flexcore.domain.errors import NotFound, Unavailable
from flexcore.domain.node import Node as NodeAggregate
from flexcore.domain.node import NodeStatus
from tests.unit.application.cluster_doubles import Channel, Lease, Redis, Registry, Terms
from tests.unit.application.doubles import START, Log

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "FIRST_LOOK_SECONDS", 0.005)


class Node:
    """One node over a log, a registry and a channel that it may share with others."""

    def __init__(self, node_id: str, log: Log, channel: Channel, registry: Registry) -> None:
        numbers = itertools.count(1)
        events = Events(log, lambda: f"{node_id}-{next(numbers)}")
        self.running = 0
        self.drain = Drain(events=events, channel=channel, node_id=node_id)
        self.membership = Membership(
            identity=record(node_id),
            condition=self._condition,
            registry=registry,
            channel=channel,
            clock=lambda: START,
        )
        leadership = LeaderElection(node_id=node_id, lease=Lease(Redis(), node_id), terms=Terms(), channel=channel)
        self.cluster = Cluster(
            name="test",
            membership=self.membership,
            leadership=leadership,
            drain=self.drain,
            events=events,
            channel=channel,
        )

    def _condition(self) -> tuple[NodeStatus, int]:
        if self.drain.drained:
            return NodeStatus.DRAINING if self.running else NodeStatus.DRAINED, self.running
        return NodeStatus.ACTIVE, self.running


def record(node_id: str) -> NodeRecord:
    return NodeRecord(node_id, "1", f"http://{node_id}:8080", "1.0", START)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def node(log: Log, channel: Channel, registry: Registry) -> AsyncIterator[Node]:
    node = Node("a", log, channel, registry)
    await node.drain.start()
    node.membership.start()
    yield node
    await node.membership.close()
    await node.drain.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for announces nothing
            await asyncio.sleep(0.002)


async def test_a_node_drains_itself_at_once(node: Node, log: Log) -> None:
    assert node.drain.reason is None
    node.running = 1
    assert (await node.cluster.drain("a", "x")).status is NodeStatus.DRAINING
    assert node.drain.reason == "node a is drained and takes nothing new until it is resumed"
    node.running = 0
    assert (await node.cluster.drain("a", "y")).status is NodeStatus.DRAINED
    assert (await node.cluster.resume("a", "z")).status is NodeStatus.ACTIVE
    assert (await node.cluster.resume("a", "z")).status is NodeStatus.ACTIVE
    assert log.types() == ["NodeDrained", "NodeResumed"]
    assert log.events[0].metadata == {"correlation_id": "x", "node_id": "a"}


async def test_another_node_hears_of_it(node: Node, log: Log, channel: Channel, registry: Registry) -> None:
    other = Node("b", log, channel, registry)
    await other.drain.start()
    registry.beats["b"] = Heartbeat(record("b"), 0.0)
    channel.publish("nodes")
    await until(lambda: len(node.cluster.nodes()) == 2)
    assert (await node.cluster.drain("b", "x")).status is NodeStatus.DRAINING
    await until(lambda: other.drain.drained)
    assert not node.drain.drained
    await node.cluster.resume("b", "x")
    await until(lambda: not other.drain.drained)
    await other.drain.close()


async def test_news_that_were_lost_are_found_by_looking(
    node: Node, log: Log, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    monkeypatch.setattr(drain_module, "LOOK_SECONDS", 0.005)
    deaf = Node("b", log, Channel(), registry)
    registry.beats["b"] = Heartbeat(record("b"), 0.0)
    await deaf.drain.start()
    await until(lambda: deaf.drain.reason is None)
    node.membership._changed.set()
    await until(lambda: len(node.cluster.nodes()) == 2)
    await node.cluster.drain("b", "x")
    await until(lambda: deaf.drain.drained)
    await deaf.drain.close()


async def test_a_drain_outlives_the_process(node: Node, log: Log, channel: Channel, registry: Registry) -> None:
    await node.cluster.drain("a", "x")
    again = Node("a", log, channel, registry)
    await again.drain.start()
    assert again.drain.drained
    await again.drain.close()


async def test_a_node_that_is_down_can_be_resumed(node: Node, log: Log, channel: Channel) -> None:
    gone = Node("gone", log, channel, Registry())
    await gone.cluster.drain("gone", "x")
    found = await node.cluster.resume("gone", "y")
    assert (found.node_id, found.status, found.address) == ("gone", NodeStatus.UNKNOWN, None)
    assert log.types() == ["NodeDrained", "NodeResumed"]


@pytest.mark.parametrize("node_id", ["nobody", "", "a\0", "a" * 300])
async def test_a_node_that_nobody_knows_is_not_found(node: Node, log: Log, node_id: str) -> None:
    for change in (node.cluster.drain, node.cluster.resume):
        with pytest.raises(NotFound, match="there is no node"):
            await change(node_id, "x")
    assert log.events == []


async def test_two_operators_at_once_leave_one_event(node: Node, log: Log) -> None:
    def interfere() -> None:
        # Between the first operator's reading and appending.
        event = NodeAggregate("a").drain({})
        assert event is not None
        log.events.append(log._recorded("second", event))

    log.before_append = interfere
    assert (await node.cluster.drain("a", "first")).status is NodeStatus.DRAINED
    assert [event.id for event in log.events] == ["second"]


async def test_until_it_can_read_its_stream_a_node_takes_nothing(log: Log, channel: Channel) -> None:
    log.down = True
    node = Node("a", log, channel, Registry())
    await node.drain.start()
    assert node.drain.reason == "node a could not yet learn whether it is drained"
    assert not node.drain.drained
    with pytest.raises(Unavailable):
        await node.cluster.drain("a", "x")
    log.down = False
    await until(lambda: node.drain.reason is None)
    await node.drain.close()


async def test_the_start_does_not_wait_for_a_database_that_hangs(
    log: Log, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "START_SECONDS", 0.01)
    log.hang = True
    node = Node("a", log, channel, Registry())
    async with asyncio.timeout(5):
        await node.drain.start()
        await node.drain.close()
    assert node.drain.reason is not None


async def test_the_overview_names_the_cluster(node: Node) -> None:
    overview = node.cluster.overview()
    assert (overview.cluster, overview.leader) == ("test", None)
    assert [found.node_id for found in overview.nodes] == ["a"]
