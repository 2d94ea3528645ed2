"""`flext service health`: check once, then show the verdicts or record them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from flexcore_client.errors import InputError
from flexcore_client.fanout import NO_PHASE_LIMITS, CheckOptions, check
from flexcore_client.models import ServiceHealth

from .targets import select

DEFAULT_TIMEOUT_SECONDS = 5.0
ALL_HEALTHY, NOT_HEALTHY = 0, 2


def check_health(
    given: Sequence[str], targets_file: Path | None, form: str, timeout: float | None, record: Path | None
) -> int:
    """Check the services and return the exit code."""
    selection = select(given, targets_file)
    options = CheckOptions(
        timeout=timeout or selection.timeout or DEFAULT_TIMEOUT_SECONDS,
        connection=replace(selection.connection, timeouts=NO_PHASE_LIMITS),
    )
    results = check(selection.targets, options)
    if record is not None:
        record_results(record, results)
        return ALL_HEALTHY
    if form == "json":
        healthy = all(result.healthy for result in results)
        click.echo(json.dumps({"healthy": healthy, "targets": [result.to_dict() for result in results]}, indent=2))
    else:
        print_results(results)
    return ALL_HEALTHY if all(result.healthy for result in results) else NOT_HEALTHY


def record_results(directory: Path, results: Sequence[ServiceHealth]) -> None:
    """Add a line to the history, and print a line for each service whose state changed."""
    from .notify import notify_status
    from .record import Record, last_verdict

    try:
        with Record(directory) as record:
            for change in record.add(results, datetime.now(UTC)):
                click.echo(change)
    except OSError as error:
        raise InputError(f"The history in {directory} cannot be kept: {error.strerror or error}") from None
    notify_status(last_verdict(results))


def print_results(results: Sequence[ServiceHealth]) -> None:
    """Print a table with a row per service."""
    from flexcore_client.report_printer import HEALTH_COLUMNS, health_cells
    from flexcore_client.tables import print_table

    print_table(HEALTH_COLUMNS, health_cells([result.to_row() for result in results]))
