"""`flext service logs`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from flexcore_client.clock import SystemClock
from flexcore_client.log_query import log_query
from flexcore_client.logs import LogPlaces, read_logs
from flexcore_client.report_printer import log_line
from flexcore_client.transport import Timeouts

from .targets import select

UNIT = "flexcore.service"
TIMEOUT_SECONDS = 5.0


def show_logs(name: str, targets_file: Path | None, lines: int, level: str | None, since: str | None, form: str) -> int:
    """Print the log of the FlexCore called ``name`` and return the exit code."""
    selection = select((), targets_file)
    target = selection.flexcore(name)
    # The journal of this machine tells of the FlexCore on this machine only.
    read = read_logs(
        LogPlaces(target, UNIT),
        log_query(lines, level, since, datetime.now(UTC)),
        source="auto" if target.address.is_this_machine else "http",
        connection=replace(selection.connection, timeouts=Timeouts(total=TIMEOUT_SECONDS)),
        clock=SystemClock(),
    )
    if read.fallback_reason:
        click.echo(f"flext: {read.fallback_reason} This is the journal of {UNIT}.", err=True)
    records = [record.to_dict() for record in read.records]
    if form == "json":
        click.echo(json.dumps({"source": read.source, "records": records}, indent=2))
    else:
        for record in records:
            click.echo(log_line(record))
    return 0
