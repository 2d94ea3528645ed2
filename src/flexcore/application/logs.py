"""What an operator may ask of this node's own log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error", "critical")
"""From the least to the most severe."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One structured log record."""

    timestamp: datetime
    level: Level
    component: str
    message: str
    correlation_id: str | None
    node_id: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which records to read: at most `lines`, of `level` or more severe, not older than `since`.

    Without a cursor these are the newest ones; with one, those that follow it.
    """

    lines: int
    level: Level | None = None
    component: str | None = None
    since: datetime | None = None
    correlation_id: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Records, newest last. `next_cursor` continues after the last of them, also with records yet to come."""

    logs: tuple[LogRecord, ...]
    next_cursor: str
    has_more: bool


class LogSource(Protocol):
    """The node's recent log records."""

    def page(self, query: LogQuery) -> LogPage:
        """Return the records asked for; raises InvalidInput for a cursor that is none."""
        ...
