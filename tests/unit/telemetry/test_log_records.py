"""Structured logs: what a line holds, what it hides, and what the buffer gives back."""

import json
import logging
import os
import queue
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.logs import LogQuery
from flexcore.domain.errors import InvalidInput
from flexcore.infrastructure.telemetry.log_buffer import LogBuffer
from flexcore.infrastructure.telemetry.logs import JsonLogHandler, LineWriter

SECRET = "hunter2hunter2"


class Log:
    """A logger whose lines wait to be written."""

    def __init__(self, capacity: int = 100, queued: int = 100) -> None:
        self.buffer = LogBuffer(capacity)
        self.queue: queue.Queue[bytes] = queue.Queue(queued)
        self.handler = JsonLogHandler(self.queue, self.buffer, "core1", [SECRET, ""])
        self.logger = logging.Logger("flexcore.http")
        self.logger.addHandler(self.handler)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.queue.queue]

    def write_one(self) -> str:
        message: str = json.loads(self.queue.get())["message"]
        self.queue.task_done()
        return message

    def messages(self, **query: Any) -> list[str]:
        return [record.message for record in self.buffer.page(LogQuery(**{"lines": 100, **query})).logs]


@pytest.fixture
def log() -> Iterator[Log]:
    token = CORRELATION_ID.set("c-1")
    yield Log()
    CORRELATION_ID.reset(token)


def test_a_record_is_one_json_line_and_one_record_in_memory(log: Log) -> None:
    log.logger.info("two\nlines", extra={"status": 200})
    (line,) = log.lines()
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    expected = {
        "level": "info",
        "component": "http",
        "message": "two\nlines",
        "correlation_id": "c-1",
        "node_id": "core1",
        "fields": {"status": 200},
    }
    assert line == expected
    (record,) = log.buffer.page(LogQuery(lines=1)).logs
    assert (record.component, record.message, record.fields) == ("http", "two\nlines", {"status": 200})


def test_secrets_are_blotted_out_everywhere(log: Log) -> None:
    extra = {"text": SECRET, "deep": {"list": [SECRET]}}
    log.logger.error("said %s", SECRET, exc_info=ValueError(f"with {SECRET}"), extra=extra)
    assert SECRET not in str(log.lines())
    assert SECRET not in str(log.buffer.page(LogQuery(lines=1)))
    assert log.lines()[0]["fields"] == {"text": "***", "deep": {"list": ["***"]}}


def test_a_traceback_is_for_the_operator_only(log: Log) -> None:
    log.logger.error("failed", exc_info=ValueError("boom"))
    assert "ValueError: boom" in log.lines()[0]["exception"]
    assert "boom" not in str(log.buffer.page(LogQuery(lines=1)))


def test_fields_that_are_not_json_do_not_lose_the_record(log: Log) -> None:
    log.logger.info("odd", extra={"thing": object(), "set": {1}})
    assert log.lines()[0]["fields"]["set"] == [1]


def test_the_component_is_the_loggers_second_name() -> None:
    log = Log()
    for name in ("flexcore.plugins", "uvicorn.error", "asyncio"):
        logger = logging.Logger(name)
        logger.addHandler(log.handler)
        logger.warning("x")
    assert [line["component"] for line in log.lines()] == ["plugins", "uvicorn", "asyncio"]


def test_the_newest_lines_come_last(log: Log) -> None:
    for number in range(10):
        log.logger.info("%d", number)
    assert log.messages(lines=3) == ["7", "8", "9"]


def test_the_buffer_keeps_only_the_newest() -> None:
    log = Log(capacity=5)
    for number in range(10):
        log.logger.info("%d", number)
    assert log.messages() == ["5", "6", "7", "8", "9"]


def test_a_level_includes_the_more_severe_ones(log: Log) -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.logger.log(level, logging.getLevelName(level))
    assert log.messages(level="warning") == ["WARNING", "ERROR", "CRITICAL"]
    assert log.messages(level="debug") == ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def test_filters_by_component_request_and_time(log: Log) -> None:
    log.logger.info("mine")
    CORRELATION_ID.set("c-2")
    log.logger.info("other")
    assert log.messages(correlation_id="c-1") == ["mine"]
    assert log.messages(component="plugins") == []
    assert log.messages(since=datetime.now(UTC) - timedelta(minutes=1)) == ["mine", "other"]
    assert log.messages(since=datetime.now(UTC) + timedelta(minutes=1)) == []


def test_a_cursor_continues_without_gap_or_repeat(log: Log) -> None:
    log.logger.info("0")
    cursor = log.buffer.page(LogQuery(lines=10)).next_cursor
    for number in range(1, 6):
        log.logger.info("%d", number)
    seen: list[str] = []
    has_more = True
    while has_more:
        page = log.buffer.page(LogQuery(lines=2, cursor=cursor))
        seen += [record.message for record in page.logs]
        cursor, has_more = page.next_cursor, page.has_more
    assert seen == ["1", "2", "3", "4", "5"]
    assert log.messages(cursor=cursor) == []


def test_a_cursor_of_another_process_starts_over(log: Log) -> None:
    log.logger.info("0")
    foreign = Log()
    for _ in range(5):
        foreign.logger.info("x")
    assert log.messages(cursor=foreign.buffer.page(LogQuery(lines=1)).next_cursor) == ["0"]


def test_lines_that_nobody_reads_are_dropped_and_counted() -> None:
    log = Log(queued=4)
    for number in range(7):
        log.logger.info("%d", number)
    assert [line["message"] for line in log.lines()] == ["0", "1", "2", "3"]
    assert log.messages() == ["0", "1", "2", "3", "4", "5", "6"]
    assert log.write_one() == "0"
    # One free place is no sign that the reader keeps up.
    log.logger.info("7")
    assert [log.write_one(), log.write_one()] == ["1", "2"]
    log.logger.info("8")
    assert [log.write_one() for _ in range(3)] == [
        "3",
        "4 log lines are missing here: they came faster than they were read",
        "8",
    ]


def test_the_end_of_the_process_waits_until_all_lines_are_written() -> None:
    log = Log(queued=2)
    for number in range(5):
        log.logger.info("%d", number)
    reading, writing = os.pipe()
    writer = LineWriter(log.queue, writing)
    writer.start()
    log.handler.flush()
    os.close(writing)
    with os.fdopen(reading, "rb") as written:
        messages = [json.loads(line)["message"] for line in written]
    writer.stop()
    assert messages == ["0", "1", "3 log lines are missing here: they came faster than they were read"]


def test_a_reader_that_is_gone_stops_nothing() -> None:
    log = Log()
    reading, writing = os.pipe()
    os.close(reading)
    log.logger.info("lost")
    writer = LineWriter(log.queue, writing)
    writer.start()
    log.handler.flush()
    writer.stop()
    os.close(writing)
    assert log.messages() == ["lost"]


@pytest.mark.parametrize("cursor", ["", "x", "éé", "MzRh", "!!!!"])
def test_a_cursor_that_is_none_is_refused(log: Log, cursor: str) -> None:
    with pytest.raises(InvalidInput, match=r"^cursor must be"):
        log.messages(cursor=cursor)
