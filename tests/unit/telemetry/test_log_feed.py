"""Following the log: what comes, what was missed, and how many may."""

import asyncio
import threading
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from flexcore.application.logs import LogNews, LogQuery, LogRecord
from flexcore.domain.errors import InvalidInput, TooBusy
from flexcore.infrastructure.telemetry import log_feed as log_feed_module
from flexcore.infrastructure.telemetry.log_buffer import LogBuffer
from flexcore.infrastructure.telemetry.log_feed import BufferedLogFeed

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def record(message: str, level: Any = "info", **fields: Any) -> LogRecord:
    return LogRecord(datetime(2025, 8, 1, tzinfo=UTC), level, "plugin", message, None, "core1", fields)


async def some(news: Any) -> LogNews:
    """Return the next news that are any."""
    async with asyncio.timeout(10):
        async for new in news:
            if new.records or new.missed:
                return new
    raise AssertionError("the feed ended")


def messages(new: LogNews) -> list[str]:
    return [record.message for _, record in new.records]


async def test_only_what_comes_from_now_on_and_is_asked_for() -> None:
    buffer = LogBuffer(100)
    buffer.append(record("before"))
    async with aclosing(BufferedLogFeed(buffer).follow(LogQuery(0, level="warning", plugin_id="p"))) as news:
        buffer.append(record("too harmless", plugin_id="p"))
        buffer.append(record("of another", "error", plugin_id="q"))
        buffer.append(record("wanted", "error", plugin_id="p"))
        assert messages(await some(news)) == ["wanted"]


async def test_a_record_of_another_thread_wakes_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_feed_module, "POLL_SECONDS", 3600.0)
    buffer = LogBuffer(100)
    async with aclosing(BufferedLogFeed(buffer).follow(LogQuery(0))) as news:
        waiting = asyncio.create_task(some(news))
        await asyncio.sleep(0)
        thread = threading.Thread(target=buffer.append, args=(record("news"),))
        thread.start()
        assert messages(await waiting) == ["news"]
        thread.join()


async def test_it_goes_on_after_a_cursor_without_gap_or_repeat() -> None:
    buffer = LogBuffer(1000)
    feed = BufferedLogFeed(buffer)
    for number in range(450):
        buffer.append(record(str(number)))
    seen: list[str] = []
    cursor = buffer.cursor(0)
    while len(seen) < 450:
        async with aclosing(feed.follow(LogQuery(0, cursor=cursor))) as news:
            new = await some(news)
            assert new.missed == 0
            seen.extend(messages(new)[:70])
            cursor = new.records[:70][-1][0]
    assert seen == [str(number) for number in range(450)]


async def test_who_is_slow_hears_how_much_is_missing() -> None:
    buffer = LogBuffer(10)
    async with aclosing(BufferedLogFeed(buffer).follow(LogQuery(0))) as news:
        for number in range(25):
            buffer.append(record(str(number)))
        new = await some(news)
        assert (new.missed, messages(new)) == (15, [str(number) for number in range(15, 25)])


async def test_a_cursor_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        BufferedLogFeed(LogBuffer(10)).follow(LogQuery(0, cursor="nonsense"))


async def test_only_so_many_follow_and_whoever_leaves_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_feed_module, "MOST_FOLLOWERS", 1)
    buffer = LogBuffer(10)
    feed = BufferedLogFeed(buffer)
    async with aclosing(feed.follow(LogQuery(0))) as news:
        buffer.append(record("one"))
        await some(news)
        with pytest.raises(TooBusy, match="1 clients follow the log of this node already"):
            feed.follow(LogQuery(0))
    assert buffer._listeners == ()
    feed.follow(LogQuery(0))
