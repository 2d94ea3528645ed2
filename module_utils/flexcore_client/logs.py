"""FlexCore's log from where it can be had: over HTTP, or from the journal of the host."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .client import FlexCoreClient
from .clock import Clock
from .errors import ClientError
from .journal import read_journal
from .log_query import LogQuery
from .models import LogRecord
from .targets import Target
from .transport import HttpTransport, Timeouts, TlsOptions

SOURCES = ("auto", "http", "journald")


@dataclass(frozen=True)
class LogRead:
    """The records, newest last, where they come from, and why not from the first choice."""

    records: list[LogRecord]
    source: str
    truncated: bool = False
    fallback_reason: str | None = None


def read_logs(
    target: Target | None, query: LogQuery, *, source: str, unit: str, timeout: float, tls: TlsOptions, clock: Clock
) -> LogRead:
    """Read the log; ``auto`` asks the server, and the journal when the server gives none or there is no server."""
    if source == "journald" or target is None:
        return _from_journal(query, unit, timeout, clock)
    try:
        return LogRead(asyncio.run(_from_server(target, query, timeout, tls, clock)), "http")
    except ClientError as error:
        if source == "http":
            raise
        try:
            return _from_journal(query, unit, timeout, clock, str(error))
        except ClientError as second:
            raise ClientError(
                error.kind,
                what=error.what,
                reason=f"{error.reason}; the journal gave none either: {second.reason}",
                next_step=f"{error.next_step} {second.next_step}",
                http_status=error.http_status,
            ) from second


async def _from_server(
    target: Target, query: LogQuery, timeout: float, tls: TlsOptions, clock: Clock
) -> list[LogRecord]:
    limits = Timeouts(total=timeout)
    async with HttpTransport(target.address, token=target.token, timeouts=limits, tls=tls, clock=clock) as transport:
        return await FlexCoreClient(target, transport).logs(query)


def _from_journal(query: LogQuery, unit: str, timeout: float, clock: Clock, why: str | None = None) -> LogRead:
    read = read_journal(unit, query, timeout=timeout, clock=clock)
    return LogRead(read.records, "journald", read.truncated, why)
