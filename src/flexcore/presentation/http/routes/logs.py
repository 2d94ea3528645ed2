"""The node's own log, straight from memory."""

import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from flexcore.application.logs import Level, LogFeed, LogNews, LogPage, LogQuery, LogSource
from flexcore.application.plugins import Plugins
from flexcore.domain.errors import InvalidInput
from flexcore.presentation.http.encoding import encode
from flexcore.presentation.http.operations import UNCACHED, Answer, Call, Content, Operation
from flexcore.presentation.http.routes.event_log import SILENCE_SECONDS

MAX_LINES: Final = 10_000
_Text = Annotated[str, Meta(max_length=128)]
_RELATIVE: Final = re.compile(r"(?P<number>\d{1,9})(?P<unit>[smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class LogsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET logs."""

    lines: Annotated[int, Meta(ge=1, le=MAX_LINES, description="Records to give: the newest, or the next")] = 100
    level: Annotated[Level | None, Meta(description="This level and more severe ones")] = None
    component: Annotated[_Text | None, Meta(description="Only records of this component")] = None
    since: Annotated[
        _Text | None,
        Meta(description="Only records from then on: RFC 3339, or an age such as 30s 5m 2h 1d"),
    ] = None
    correlation_id: Annotated[_Text | None, Meta(description="Only records of this request")] = None
    cursor: Annotated[_Text | None, Meta(description="next_cursor of an earlier answer: only the records after it")] = (
        None
    )


class PluginLogsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET plugins/{id}/logs."""

    lines: Annotated[int, Meta(ge=1, le=MAX_LINES, description="Records to give: the newest, or the next")] = 100
    level: Annotated[Level | None, Meta(description="This level and more severe ones")] = None
    execution_id: Annotated[_Text | None, Meta(description="Only records of this execution")] = None
    cursor: Annotated[_Text | None, Meta(description="next_cursor of an earlier answer: only the records after it")] = (
        None
    )


class LogStreamQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET logs/stream."""

    level: Annotated[Level | None, Meta(description="This level and more severe ones")] = None
    component: Annotated[_Text | None, Meta(description="Only records of this component")] = None
    correlation_id: Annotated[_Text | None, Meta(description="Only records of this request")] = None
    plugin_id: Annotated[_Text | None, Meta(description="Only what this plugin says")] = None
    execution_id: Annotated[_Text | None, Meta(description="Only records of this execution")] = None


class LogRoutes:
    """/api/v1/flexcore/logs and below, and the logs of plugins."""

    def __init__(self, logs: LogSource, feed: LogFeed, plugins: Plugins) -> None:
        self._logs = logs
        self._feed = feed
        self._plugins = plugins

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path="/api/v1/flexcore/logs",
                name="getLogs",
                summary="Log records of this node, newest last",
                tag="logs",
                handler=self._get,
                query=LogsQuery,
                answers={200: Content(LogPage, "Log records")},
            ),
            Operation(
                method="GET",
                path="/api/v1/flexcore/logs/stream",
                name="streamLogs",
                summary="Log records of this node as server-sent events, as they come; resumes after Last-Event-ID",
                tag="logs",
                handler=self._stream,
                query=LogStreamQuery,
                resumable=True,
                answers={200: Content(None, "Records, and what was missed of them", "text/event-stream")},
                problems=(429,),
            ),
            Operation(
                method="GET",
                path="/api/v1/flexcore/plugins/{id}/logs",
                name="getPluginLogs",
                summary="What a plugin said in its executions on this node, newest last",
                tag="plugins",
                handler=self._of_plugin,
                query=PluginLogsQuery,
                answers={200: Content(LogPage, "Log records")},
                problems=(404, 429, 503),
            ),
        )

    async def _get(self, call: Call[LogsQuery, None]) -> Answer:
        query = call.query
        page = self._logs.page(
            LogQuery(
                lines=query.lines,
                level=query.level,
                component=query.component,
                since=None if query.since is None else parse_since(query.since, datetime.now(UTC)),
                correlation_id=query.correlation_id,
                cursor=query.cursor,
            )
        )
        return Answer(page)

    async def _of_plugin(self, call: Call[PluginLogsQuery, None]) -> Answer:
        query = call.query
        plugin = await self._plugins.find(call.path["id"])
        page = self._logs.page(
            LogQuery(
                lines=query.lines,
                level=query.level,
                component="plugin",
                plugin_id=plugin.id,
                execution_id=query.execution_id,
                cursor=query.cursor,
            )
        )
        return Answer(page)

    async def _stream(self, call: Call[LogStreamQuery, None]) -> Answer:
        query = call.query
        news = self._feed.follow(
            LogQuery(
                lines=0,
                level=query.level,
                component=query.component,
                correlation_id=query.correlation_id,
                plugin_id=query.plugin_id,
                execution_id=query.execution_id,
                cursor=call.last_event_id or None,
            )
        )
        return Answer(_sent(news), headers=UNCACHED)


async def _sent(news: AsyncIterator[LogNews]) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    sent = time.monotonic()
    async for new in news:
        text = b"".join(
            b"id: %s\nevent: log\ndata: %s\n\n" % (cursor.encode(), encode(record)) for cursor, record in new.records
        )
        if new.missed:
            text = b'event: missed\ndata: {"records":%d}\n\n' % new.missed + text
        if not text and time.monotonic() - sent > SILENCE_SECONDS:
            text = b": nothing new\n\n"
        if text:
            yield text
            sent = time.monotonic()


def parse_since(text: str, now: datetime) -> datetime:
    """Read an RFC 3339 time with its zone, or an age counted back from `now`; raises InvalidInput."""
    try:
        if relative := _RELATIVE.fullmatch(text):
            return now - timedelta(**{_UNITS[relative["unit"]]: int(relative["number"])})
        moment: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
    except msgspec.ValidationError as error:
        raise InvalidInput.field(
            "since", "must be an RFC 3339 time such as 2025-08-01T12:00:00Z, or an age such as 30s, 5m, 2h or 1d"
        ) from error
    return moment
