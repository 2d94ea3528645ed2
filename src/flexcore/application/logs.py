"""What an operator may ask of this node's own log."""

from collections.abc import AsyncIterator, Mapping, Sequence
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

    `plugin_id` and `execution_id` are for what plugins say. Without a cursor these are the newest ones; with one, those
    that follow it.
    """

    lines: int
    level: Level | None = None
    component: str | None = None
    since: datetime | None = None
    correlation_id: str | None = None
    plugin_id: str | None = None
    execution_id: str | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Records, newest last. `next_cursor` continues after the last of them, also with records yet to come."""

    logs: tuple[LogRecord, ...]
    next_cursor: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class LogNews:
    """Records that came since, each with the cursor after it. `missed` came and went before they could be read."""

    records: Sequence[tuple[str, LogRecord]]
    missed: int = 0


class LogFeed(Protocol):
    """Follows the node's log."""

    def follow(self, query: LogQuery) -> AsyncIterator[LogNews]:
        """Give what comes after the query's cursor, or from now on, as it comes; at least once a second, if nothing.

        `lines` is of no account. Raises InvalidInput for a cursor that is none, TooBusy if too many follow.
        """
        ...


class LogSource(Protocol):
    """The node's recent log records."""

    def page(self, query: LogQuery) -> LogPage:
        """Return the records asked for; raises InvalidInput for a cursor that is none."""
        ...
