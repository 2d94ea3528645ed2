"""Structured logs: every record of the process as one JSON object a line, and the latest ones in memory.

Loggers are named `flexcore.<component>`. Whatever a caller passes in `extra` becomes `fields`.
"""

import base64
import binascii
import itertools
import logging
import secrets
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from flexcore.application.correlation import CORRELATION_ID
from flexcore.application.logs import LEVELS, Level, LogPage, LogQuery, LogRecord
from flexcore.domain.errors import InvalidInput

# Every attribute that logging itself gives a record, and uvicorn's second, coloured message.
_OWN_ATTRIBUTES: Final = frozenset(
    {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "color_message"}
)
_RANK: Final = {level: rank for rank, level in enumerate(LEVELS)}


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


class LogBuffer:
    """The latest `capacity` records, for the logs routes."""

    def __init__(self, capacity: int) -> None:
        self._records: deque[tuple[int, LogRecord]] = deque(maxlen=capacity)
        self._numbers = itertools.count(1)
        # Cursors of an earlier process start over instead of pointing somewhere at random.
        self._process = secrets.token_hex(4)

    def append(self, record: LogRecord) -> None:
        """Keep `record`; the oldest one leaves when the buffer is full."""
        self._records.append((next(self._numbers), record))

    def page(self, query: LogQuery) -> LogPage:
        """Return the records asked for; raises InvalidInput for a cursor that is none."""
        records = self._records.copy()
        if query.cursor is None:
            found = list(itertools.islice(_matching(reversed(records), query), query.lines))[::-1]
            last = records[-1][0] if records else 0
            return LogPage(tuple(record for _, record in found), self._cursor(last), has_more=False)
        after = self._position(query.cursor)
        found = list(itertools.islice(_matching((item for item in records if item[0] > after), query), query.lines + 1))
        page = found[: query.lines]
        has_more = len(found) > len(page)
        last = page[-1][0] if has_more else max(after, records[-1][0] if records else 0)
        return LogPage(tuple(record for _, record in page), self._cursor(last), has_more)

    def _cursor(self, number: int) -> str:
        return base64.urlsafe_b64encode(f"{self._process}:{number}".encode()).decode().rstrip("=")

    def _position(self, cursor: str) -> int:
        try:
            text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
            process, number = text.split(":")
            position = int(number)
        except (ValueError, binascii.Error) as error:
            raise InvalidInput.field("cursor", "must be the next_cursor of an earlier answer") from error
        return position if process == self._process else 0


class JsonLogHandler(logging.Handler):
    """Writes records to `stream` and keeps them in `buffer`; the values of `hidden` are blotted out in both."""

    def __init__(self, stream: TextIO, buffer: LogBuffer, node_id: str, hidden: Iterable[str]) -> None:
        super().__init__()
        self._stream = stream
        self._buffer = buffer
        self._node_id = node_id
        self._hidden = tuple(value for value in hidden if value)
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def emit(self, record: logging.LogRecord) -> None:
        """Write and keep one record; a stream that is gone does not stop the server."""
        try:
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
            self._stream.write(self._text(line))
            self._stream.flush()
        except (OSError, ValueError, TypeError):
            self.handleError(record)

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

    def _text(self, line: _Line) -> str:
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
        return self._encode(shown).decode() + "\n"

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


def install(*, level: Level, buffer: LogBuffer, node_id: str, hidden: Iterable[str]) -> None:
    """Send every record of the process, uvicorn's and the libraries' included, through one handler."""
    root = logging.getLogger()
    root.handlers[:] = [JsonLogHandler(sys.stdout, buffer, node_id, hidden)]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    # At info level these report each of our own health checks.
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _matching(records: Iterable[tuple[int, LogRecord]], query: LogQuery) -> Iterable[tuple[int, LogRecord]]:
    lowest = 0 if query.level is None else _RANK[query.level]
    for number, record in records:
        if (
            _RANK[record.level] >= lowest
            and query.component in (None, record.component)
            and query.correlation_id in (None, record.correlation_id)
            and (query.since is None or record.timestamp >= query.since)
        ):
            yield number, record


def _level(number: int) -> Level:
    return LEVELS[min(max(number // 10 - 1, 0), len(LEVELS) - 1)]


def _component(logger: str) -> str:
    if logger == "root":
        return "python"
    return logger.removeprefix("flexcore.").split(".", 1)[0]
