"""Structured logs: every record of the process as one JSON object a line, and the latest ones in memory.

Loggers are named `flexcore.<component>`. Whatever a caller passes in `extra` becomes `fields`.
"""

import logging
import os
import queue
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Final

import msgspec

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.logs import LEVELS, Level, LogRecord
from flexcore.infrastructure.telemetry.log_buffer import LogBuffer

QUEUED_LINES: Final = 10_000
"""Lines that wait for their reader; more are dropped."""
FLUSH_SECONDS: Final = 2.0
"""How long the end of the process waits for that reader."""

# Every attribute that logging itself gives a record, and uvicorn's second, coloured message.
_OWN_ATTRIBUTES: Final = frozenset(
    {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "color_message"}
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A record as it is written; `exception` is for the operator's log only, never for the API."""

    timestamp: datetime
    level: Level
    component: str
    message: str
    correlation_id: str | None
    node_id: str
    fields: dict[str, Any]
    exception: str


class JsonLogHandler(QueueHandler):
    """Keeps each record in `buffer` and puts its line into `lines`; the values of `hidden` are blotted out in both.

    It never waits. When `lines` is full, because whoever reads them does not keep up, lines are dropped until half of
    it is free again; then the log says how many are missing.
    """

    def __init__(self, lines: "queue.Queue[bytes]", buffer: LogBuffer, node_id: str, hidden: Iterable[str]) -> None:
        super().__init__(lines)
        self._lines = lines
        self._dropped = 0
        self._buffer = buffer
        self._node_id = node_id
        self._hidden = tuple(value for value in hidden if value)
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def prepare(self, record: logging.LogRecord) -> bytes:
        """Keep the record, and return its line."""
        line = self._line(record)
        self._buffer.append(
            LogRecord(
                line.timestamp,
                line.level,
                line.component,
                line.message,
                line.correlation_id,
                line.node_id,
                line.fields,
            )
        )
        return self._text(line)

    def enqueue(self, record: Any) -> None:
        """Put a prepared line into the queue, or count it as dropped."""
        # Handlers run under their lock, so nobody else fills the queue meanwhile.
        if self._dropped and self._lines.qsize() <= self._lines.maxsize // 2:
            self._lines.put_nowait(self._tell_dropped())
        if self._dropped or self._lines.full():
            self._dropped += 1
        else:
            self._lines.put_nowait(record)

    def flush(self) -> None:
        """Wait for all lines to be written, at most `FLUSH_SECONDS`. At the end of the process, `logging` calls it."""
        if self._dropped:
            with suppress(queue.Full):
                self._lines.put(self._tell_dropped(), timeout=FLUSH_SECONDS)
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, FLUSH_SECONDS)

    def _tell_dropped(self) -> bytes:
        message = f"{self._dropped} log lines are missing here: they came faster than they were read"
        self._dropped = 0
        return self.prepare(logging.LogRecord("flexcore.logs", logging.WARNING, "", 0, message, None, None))

    def _line(self, record: logging.LogRecord) -> _Line:
        fields = {name: value for name, value in record.__dict__.items() if name not in _OWN_ATTRIBUTES}
        exception = ""
        if record.exc_info and record.exc_info[0] is not None:
            exception = logging.Formatter().formatException(record.exc_info)
        return _Line(
            timestamp=datetime.fromtimestamp(record.created, UTC),
            level=_level(record.levelno),
            component=_component(record.name),
            message=self._blot(record.getMessage()),
            correlation_id=CORRELATION_ID.get(),
            node_id=self._node_id,
            fields=self._blot_fields(fields),
            exception=self._blot(exception),
        )

    def _text(self, line: _Line) -> bytes:
        shown = {
            "timestamp": line.timestamp,
            "level": line.level,
            "component": line.component,
            "message": line.message,
            "correlation_id": line.correlation_id,
            "node_id": line.node_id,
            "fields": line.fields,
        }
        if line.exception:
            shown["exception"] = line.exception
        return self._encode(shown) + b"\n"

    def _blot_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Make `fields` plain JSON values without a secret, so that encoding them later can't fail."""
        return {name: self._blot_value(value) for name, value in fields.items()}

    def _blot_value(self, value: Any) -> Any:
        match value:
            case str():
                return self._blot(value)
            case None | bool() | int() | float():
                return value
            case _:
                return msgspec.json.decode(self._blot(self._encode(value).decode()))

    def _blot(self, text: str) -> str:
        for value in self._hidden:
            if value in text:
                text = text.replace(value, "***")
        return text


class LineWriter(QueueListener):
    """Writes queued lines to a file descriptor, in a thread that may wait for its reader as long as it takes."""

    def __init__(self, lines: "queue.Queue[bytes]", descriptor: int) -> None:
        super().__init__(lines)
        self._descriptor = descriptor

    def handle(self, record: Any) -> None:
        """Write one line; a reader that is gone does not stop the server, and the line is still in memory."""
        rest = memoryview(record)
        with suppress(OSError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def install(*, level: Level, buffer: LogBuffer, node_id: str, hidden: Iterable[str]) -> None:
    """Send every record of the process, uvicorn's and the libraries' included, to `buffer` and to standard output."""
    lines: queue.Queue[bytes] = queue.Queue(QUEUED_LINES)
    # Past sys.stdout, which the interpreter could not close at its end while a write on it waits.
    LineWriter(lines, sys.stdout.fileno()).start()
    root = logging.getLogger()
    root.handlers[:] = [JsonLogHandler(lines, buffer, node_id, hidden)]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    # Nobody shows where in the code a record was made, and finding that out costs as much as the rest of it: the way
    # to leave it out is from logging's own manual ("Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # At info level these report each of our own health checks, and each job with its arguments.
    for chatty in ("httpx", "httpcore", "asyncio", "procrastinate"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _level(number: int) -> Level:
    return LEVELS[min(max(number // 10 - 1, 0), len(LEVELS) - 1)]


def _component(logger: str) -> str:
    if logger == "root":
        return "python"
    return logger.removeprefix("flexcore.").split(".", 1)[0]
