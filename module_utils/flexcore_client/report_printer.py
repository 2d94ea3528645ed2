"""How each report looks to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

from .tables import print_table

HEALTH_COLUMNS = ("SERVICE", "STATUS", "VERSION", "RESPONSE", "ADDRESS", "CAUSE")


def print_report(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print ``report`` in the form of its kind."""
    PRINTERS[report["report"]](report, file)


def print_health(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print a row per service, then the URL to open."""
    services = report["services"]
    print_table(HEALTH_COLUMNS, health_cells(services), file)
    if report["url"]:
        print(f"\nFlexCore: {report['url']}", file=file)


def health_cells(services: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the cells of the health table; FlexCore's rows carry their host where there are several."""
    several = sum(row["kind"] == "flexcore" for row in services) > 1
    cells = []
    for row in services:
        name = f"{row['service']} {row['host']}" if several and row["kind"] == "flexcore" else row["service"]
        took = row["response_time_ms"]
        response = "-" if took is None else f"{took:.1f} ms"
        cells.append([name, row["status"], row["version"] or "-", response, row["address"], row["cause"] or ""])
    return cells


PRINTERS = {"health": print_health}
