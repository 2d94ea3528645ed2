"""The node's own log, straight from memory."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from flexcore.application.logs import Level, LogPage, LogQuery, LogSource
from flexcore.domain.errors import InvalidInput
from flexcore.presentation.http.operations import Answer, Call, Content, Operation

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


class LogRoutes:
    """/api/v1/flexcore/logs."""

    def __init__(self, logs: LogSource) -> None:
        self._logs = logs

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
