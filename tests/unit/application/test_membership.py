"""Heartbeats: who is shown, as what, and when somebody counts as lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from flexcore.application import membership
from flexcore.application.membership import Heartbeat, Membership, NodeRecord
from flexcore.domain.node import NodeStatus
from tests.unit.application.cluster_doubles import Channel, Registry
from tests.unit.application.doubles import START

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "HEARTBEAT_SECONDS", 0.005)


def record(node_id: str, incarnation: str = "1") -> NodeRecord:
    return NodeRecord(node_id, incarnation, f"http://{node_id}:8080", "1.0", START)


class Cluster:
    def __init__(self) -> None:
        self.registry = Registry()
        self.channel = Channel()

    @asynccontextmanager
    async def node(
        self, node_id: str, condition: Callable[[], tuple[NodeStatus, int]] = lambda: (NodeStatus.ACTIVE, 0)
    ) -> AsyncIterator[Membership]:
        node = Membership(
            identity=record(node_id),
            condition=condition,
            registry=self.registry,
            channel=self.channel,
            clock=lambda: START,
        )
        node.start()
        try:
            yield node
        finally:
            await node.close()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for announces nothing
            await asyncio.sleep(0.002)


def statuses(node: Membership) -> dict[str, str]:
    return {seen.node_id: seen.status.value for seen in node.nodes()}


async def test_nodes_see_each_other_and_who_leaves_is_gone(cluster: Cluster) -> None:
    async with cluster.node("b") as second:
        assert statuses(second) == {"b": "active"}
        async with cluster.node("a") as first:
            both = {"a": "active", "b": "active"}
            await until(lambda: statuses(first) == both and statuses(second) == both)
            assert first.another_is_active()
        await until(lambda: statuses(second) == {"b": "active"})
        assert not second.another_is_active()
    assert cluster.registry.beats == {}


async def test_a_nodes_condition_is_shown_by_the_others(cluster: Cluster) -> None:
    condition = {"now": (NodeStatus.ACTIVE, 0)}
    async with cluster.node("a", lambda: condition["now"]) as first, cluster.node("b") as second:
        await until(lambda: "a" in statuses(second))
        condition["now"] = (NodeStatus.DRAINING, 3)
        assert (first.me().status, first.me().active_executions) == (NodeStatus.DRAINING, 3)
        await until(lambda: statuses(second)["a"] == "draining")
        assert second.nodes()[0].active_executions == 3
        assert not second.another_is_active()


async def test_a_change_is_told_and_makes_the_others_look(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster.node("b") as second:
        await until(lambda: second.trouble is None)
        # Only news can make it look again.
        monkeypatch.setattr(membership, "HEARTBEAT_SECONDS", 3600)
        await asyncio.sleep(0.02)
        async with cluster.node("a"):
            await until(lambda: "a" in statuses(second))


async def test_the_last_heartbeat_is_told_by_our_clock(cluster: Cluster) -> None:
    cluster.registry.beats["a"] = Heartbeat(record("a"), 4.0)
    async with cluster.node("b") as node:
        await until(lambda: "a" in statuses(node))
        seen, me = node.nodes()
        assert seen.last_heartbeat is not None
        assert timedelta(seconds=4) <= START - seen.last_heartbeat < timedelta(seconds=6)
        assert me.last_heartbeat == START


async def test_a_node_that_falls_silent_is_lost_and_may_come_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster.node("b") as node:
        cluster.registry.beats["a"] = Heartbeat(replace(record("a"), active_executions=2), 9.9)
        await until(lambda: "a" in statuses(node))
        del cluster.registry.beats["a"]
        # The registry was there all the time only if it was there for as long as it takes to fall silent.
        await until(lambda: statuses(node)["a"] == "unknown")
        monkeypatch.setattr(membership, "SILENCE_SECONDS", 0.01)
        await until(lambda: statuses(node)["a"] == "lost")
        assert node.nodes()[0].active_executions == 0
        cluster.registry.beats["a"] = Heartbeat(record("a", "2"), 0.0)
        await until(lambda: statuses(node)["a"] == "active")


async def test_a_lost_node_is_forgotten_after_a_while(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster.node("b") as node:
        cluster.registry.beats["a"] = Heartbeat(record("a"), 9.9)
        await until(lambda: "a" in statuses(node))
        monkeypatch.setattr(membership, "REMEMBERED_SECONDS", 9.0)
        del cluster.registry.beats["a"]
        await until(lambda: "a" not in statuses(node))


async def test_without_redis_the_others_are_unknown_until_it_is_back(cluster: Cluster) -> None:
    async with cluster.node("a"), cluster.node("b") as node:
        await until(lambda: "a" in statuses(node))
        cluster.registry.down = True
        await until(lambda: statuses(node) == {"a": "unknown", "b": "active"})
        assert node.trouble == "Redis can't be reached"
        assert not node.another_is_active()
        cluster.registry.beats.clear()
        cluster.registry.down = False
        await until(lambda: statuses(node) == {"a": "active", "b": "active"})
        assert node.trouble is None


async def test_it_leaves_without_redis(cluster: Cluster) -> None:
    async with cluster.node("b") as node:
        await until(lambda: node.trouble is None)
        cluster.registry.down = True


async def test_two_processes_of_one_name_are_told(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    async with cluster.node("a") as node:
        await until(lambda: node.trouble is None)
        assert "another process" not in caplog.text
        cluster.registry.beats["a"] = Heartbeat(record("a", "2"), 0.0)
        await until(lambda: "another process runs as node a too" in caplog.text)
