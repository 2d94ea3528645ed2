"""The live channel between two processes' ends of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from flexcore.application.ports import LiveMessage
from flexcore.infrastructure.redis import live_channel
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.redis.live_channel import CHANNEL, RedisLiveChannel
from tests.servers import RedisServer

pytestmark = pytest.mark.anyio


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for announces nothing
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_channel(access: RedisAccess, origin: str) -> AsyncIterator[RedisLiveChannel]:
    channel = RedisLiveChannel(access, node_id=origin, origin=origin)
    channel.start()
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture
async def pair(redis_access: RedisAccess) -> AsyncIterator[tuple[RedisLiveChannel, RedisLiveChannel]]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(open_channel(redis_access, name)) for name in ("a", "b")]
        await until(lambda: first.connected and second.connected)
        yield first, second


async def test_both_ends_hear_once(pair: tuple[RedisLiveChannel, RedisLiveChannel]) -> None:
    first, second = pair
    heard: list[tuple[str, LiveMessage]] = []
    first.subscribe("cancel", lambda message: heard.append(("a", message)))
    second.subscribe("cancel", lambda message: heard.append(("b", message)))
    second.subscribe("other", lambda message: heard.append(("b", message)))
    first.publish("cancel", execution_id="x")
    first.publish("cancel", execution_id="y")
    await until(lambda: len(heard) == 4)
    assert heard == [
        (end, {"kind": "cancel", "execution_id": execution}) for end in ("a", "b") for execution in ("x", "y")
    ]


async def test_who_unsubscribed_hears_nothing(pair: tuple[RedisLiveChannel, RedisLiveChannel]) -> None:
    first, second = pair
    heard: list[LiveMessage] = []
    unsubscribe = second.subscribe("nodes", heard.append)
    unsubscribe()
    unsubscribe()
    last: list[LiveMessage] = []
    second.subscribe("nodes", last.append)
    first.publish("nodes")
    await until(lambda: bool(last))
    assert heard == []


async def test_of_events_only_the_newest_goes_out(pair: tuple[RedisLiveChannel, RedisLiveChannel]) -> None:
    first, second = pair
    here: list[int] = []
    there: list[int] = []
    first.subscribe("events", lambda message: here.append(message["position"]))
    second.subscribe("events", lambda message: there.append(message["position"]))
    for position in range(1, 5001):
        first.publish("events", position=position)
    await until(lambda: bool(there) and there[-1] == 5000)
    assert here == list(range(1, 5001))
    assert len(there) < 100


async def test_a_listener_that_fails_disturbs_nobody(
    pair: tuple[RedisLiveChannel, RedisLiveChannel], caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = pair
    heard: list[LiveMessage] = []

    def fail(message: LiveMessage) -> None:
        raise ValueError("a defect")

    for end in pair:
        end.subscribe("nodes", fail)
        end.subscribe("nodes", heard.append)
    first.publish("nodes")
    await until(lambda: len(heard) == 2)
    first.publish("nodes")
    await until(lambda: len(heard) == 4)
    assert "a listener for nodes failed" in caplog.text


@pytest.mark.parametrize("garbage", ["no json", "[1]", "{}", '{"kind": "nodes"}', '{"kind": 1, "origin": "z"}'])
async def test_garbage_is_passed_over(
    pair: tuple[RedisLiveChannel, RedisLiveChannel], redis_server: RedisServer, garbage: str
) -> None:
    first, second = pair
    heard: list[LiveMessage] = []
    second.subscribe("nodes", heard.append)
    with redis_server.connect() as client:
        client.publish(CHANNEL, garbage)
    first.publish("nodes")
    await until(lambda: bool(heard))
    assert heard == [{"kind": "nodes"}]


@pytest.mark.parametrize("disturbance", ["kill", "hang"])
async def test_it_never_blocks_and_comes_back(
    pair: tuple[RedisLiveChannel, RedisLiveChannel],
    faulty_redis: RedisServer,
    disturbance: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_channel, "SILENCE_SECONDS", 0.5)
    first, second = pair
    here: list[LiveMessage] = []
    there: list[LiveMessage] = []
    first.subscribe("nodes", here.append)
    second.subscribe("nodes", there.append)
    first.publish("nodes", number=0)
    await until(lambda: bool(there))
    getattr(faulty_redis, disturbance)()
    started = time.monotonic()
    for number in range(1, 3000):
        first.publish("nodes", number=number)
    assert time.monotonic() - started < 1
    assert len(here) == 3000
    await until(lambda: not second.connected)
    faulty_redis.ensure_running()
    await until(lambda: first.connected and second.connected)
    # Some are lost while Redis is away; those after its return are not.
    await until(lambda: (first.publish("nodes", number=-1), there[-1]["number"] == -1)[1])


async def test_closing_sends_what_is_left(redis_access: RedisAccess) -> None:
    heard: list[LiveMessage] = []
    async with open_channel(redis_access, "b") as second:
        second.subscribe("nodes", heard.append)
        await until(lambda: second.connected)
        async with open_channel(redis_access, "a") as first:
            first.publish("nodes", left="a")
        await until(lambda: bool(heard))


async def test_closing_is_quick_while_redis_hangs(redis_access: RedisAccess, faulty_redis: RedisServer) -> None:
    async with open_channel(redis_access, "a") as channel:
        await until(lambda: channel.connected)
        faulty_redis.hang()
        channel.publish("nodes")
        started = time.monotonic()
    assert time.monotonic() - started < 5
