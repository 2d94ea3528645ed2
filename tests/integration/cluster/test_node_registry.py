"""The node registry in Redis."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flexcore.application.membership import NodeRecord
from flexcore.domain.errors import Unavailable
from flexcore.domain.node import NodeStatus
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.redis.node_registry import PREFIX, RedisNodeRegistry
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio

FIRST = NodeRecord("a", "1", "http://a:8080", "1.0", datetime(2025, 8, 1, tzinfo=UTC), NodeStatus.DRAINING, 3)
SECOND = replace(FIRST, node_id="b", status=NodeStatus.ACTIVE)


@pytest.fixture
async def registry(redis_access: RedisAccess) -> AsyncIterator[RedisNodeRegistry]:
    registry = RedisNodeRegistry(redis_access, node_id="a")
    yield registry
    await registry.close()


async def test_who_announced_itself_is_there_until_it_leaves(registry: RedisNodeRegistry) -> None:
    assert await registry.nodes() == []
    assert await registry.announce(FIRST) is None
    assert await registry.announce(SECOND) is None
    found = {beat.record.node_id: beat for beat in await registry.nodes()}
    assert {beat.record.node_id: beat.record for beat in found.values()} == {"a": FIRST, "b": SECOND}
    assert all(0 <= beat.age_seconds < 5 for beat in found.values())
    await registry.leave(SECOND)
    assert [beat.record.node_id for beat in await registry.nodes()] == ["a"]


async def test_a_process_takes_only_its_own_record_away(registry: RedisNodeRegistry) -> None:
    again = replace(FIRST, incarnation="2")
    await registry.announce(FIRST)
    assert await registry.announce(again) == "1"
    await registry.leave(FIRST)
    assert [beat.record for beat in await registry.nodes()] == [again]
    await registry.leave(again)
    await registry.leave(again)
    assert await registry.nodes() == []


async def test_a_record_runs_out(registry: RedisNodeRegistry, redis_server: RedisServer) -> None:
    await registry.announce(FIRST)
    with redis_server.connect() as client:
        assert 0 < client.pttl(PREFIX + "a") <= 10_000
        client.pexpire(PREFIX + "a", 4_000)
        (beat,) = await registry.nodes()
        assert beat.age_seconds >= 6


@pytest.mark.parametrize("garbage", ["no json", "{}", '{"node_id": 1}'])
async def test_garbage_is_passed_over(registry: RedisNodeRegistry, redis_server: RedisServer, garbage: str) -> None:
    with redis_server.connect() as client:
        client.set(PREFIX + "z", garbage)
    await registry.announce(FIRST)
    assert [beat.record for beat in await registry.nodes()] == [FIRST]


@pytest.mark.parametrize("disturbance", ["kill", "hang"])
async def test_without_redis_it_is_unavailable_in_time(
    registry: RedisNodeRegistry, faulty_redis: RedisServer, disturbance: str
) -> None:
    await registry.announce(FIRST)
    getattr(faulty_redis, disturbance)()
    with pytest.raises(Unavailable, match="Redis"):
        async with asyncio.timeout(5):
            await registry.nodes()
    faulty_redis.ensure_running()
    await registry.announce(FIRST)
    assert [beat.record for beat in await registry.nodes()] == [FIRST]
