"""FlexCore's log from where it can be had: over HTTP, from the journal of the host, or from a file on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

from .client import FlexCoreClient
from .clock import Clock
from .connection import Connection
from .errors import ClientError
from .event_loop import run
from .journal import read_journal
from .log_file import read_log_file
from .log_query import LogQuery
from .models import LogRecord
from .targets import Target

SOURCES = ("auto", "http", "journald", "file")


@dataclass(frozen=True)
class LogRead:
    """The records, newest last, where they come from, and why not from the first choice."""

    records: list[LogRecord]
    source: str
    truncated: bool = False
    fallback_reason: str | None = None


@dataclass(frozen=True)
class LogPlaces:
    """Where a FlexCore's log may be: the server itself, a unit's journal, a file. None stands for none of that kind."""

    target: Target | None = None
    unit: str | None = None
    path: str | None = None


def read_logs(places: LogPlaces, query: LogQuery, *, source: str, connection: Connection, clock: Clock) -> LogRead:
    """Read the log from ``source``; ``auto`` takes the first place that gives any, server, journal, file.

    Raises ClientError when none does, with the reasons of all.
    """
    failures: list[ClientError] = []
    for name, read in _readers(places, query, connection, clock):
        if source not in ("auto", name):
            continue
        try:
            records, truncated = read()
        except ClientError as error:
            failures.append(error)
        else:
            why = " ".join(map(str, failures)) or None
            return LogRead(records, name, truncated, why)
    first, *others = failures
    if not others:
        raise first
    raise ClientError(
        first.kind,
        what=first.what,
        reason="; ".join([first.reason, *(f"{error.what} failed too: {error.reason}" for error in others)]),
        next_step=" ".join(error.next_step for error in failures),
        http_status=first.http_status,
    ) from others[-1]


Reader = Callable[[], "tuple[list[LogRecord], bool]"]


def _readers(places: LogPlaces, query: LogQuery, connection: Connection, clock: Clock) -> Iterator[tuple[str, Reader]]:
    timeout = connection.timeouts.total
    target, unit, path = places.target, places.unit, places.path
    if target is not None:
        yield "http", lambda: run(_from_server(target, query, connection, clock))
    if unit is not None:
        yield "journald", lambda: _from_journal(unit, query, timeout, clock)
    if path is not None:
        yield "file", lambda: read_log_file(path, query, timeout=timeout, clock=clock)


async def _from_server(
    target: Target, query: LogQuery, connection: Connection, clock: Clock
) -> tuple[list[LogRecord], bool]:
    async with connection.transport(target.address, clock, token=target.token) as transport:
        return await FlexCoreClient(target, transport).log_read(query)


def _from_journal(unit: str, query: LogQuery, timeout: float, clock: Clock) -> tuple[list[LogRecord], bool]:
    read = read_journal(unit, query, timeout=timeout, clock=clock)
    return read.records, read.truncated
