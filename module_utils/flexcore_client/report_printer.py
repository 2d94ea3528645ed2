"""How each report looks to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

from .tables import print_table
from .text import printable

HEALTH_COLUMNS = ("SERVICE", "STATUS", "VERSION", "RESPONSE", "ADDRESS", "CAUSE")
PIPELINE_COLUMNS = ("PIPELINE", "STATUS", "OWNER", "LAST RUN", "STEPS")
PLUGIN_COLUMNS = ("NODE", "PLUGIN", "VERSION", "TYPE", "STATUS", "DESCRIPTION")
MESSAGE_CHARACTERS = 2000


def print_report(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print ``report`` in the form of its kind."""
    printers = {"health": print_health, "plugins": print_plugins, "pipelines": print_pipelines, "logs": print_logs}
    printers[report["report"]](report, file)


def print_health(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print a row per service, then the URL to open."""
    print_table(HEALTH_COLUMNS, health_cells(report["services"]), file)
    if report["url"]:
        print(f"\nFlexCore: {report['url']}", file=file)


def health_cells(services: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the cells of the health table; services of one name are told apart by their host."""
    names = [row["service"] for row in services]
    cells = []
    for row in services:
        several = names.count(row["service"]) > 1 and "host" in row
        name = f"{row['service']} {row['host']}" if several else row["service"]
        took = row["response_time_ms"]
        response = "-" if took is None else f"{took:.1f} ms"
        cells.append([name, row["status"], row["version"] or "-", response, row["address"], row["cause"] or ""])
    return cells


def print_plugins(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print a row per plugin and node, then the nodes that gave none and why."""
    if report["plugins"]:
        print_table(PLUGIN_COLUMNS, [plugin_cells(plugin) for plugin in report["plugins"]], file)
    print_changes(report, file)
    print_failures(report, file)


def print_pipelines(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print a row per pipeline."""
    if report["pipelines"]:
        print_table(PIPELINE_COLUMNS, [pipeline_cells(pipeline) for pipeline in report["pipelines"]], file)
    print_changes(report, file)


def pipeline_cells(pipeline: Mapping[str, Any]) -> list[str]:
    """Return the cells of one pipeline."""
    steps = " ".join(str(step.get("id")) for step in pipeline.get("steps") or ())
    return [str(pipeline.get(key) or "-") for key in ("name", "status", "owner", "last_run")] + [steps]


def print_changes(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print a line per change, made or, in check mode, to be made."""
    for change in report["changes"]:
        print(f"{'would' if report['planned'] else 'done:'} {change}", file=file)


def plugin_cells(plugin: Mapping[str, Any]) -> list[str]:
    """Return the cells of one plugin."""
    keys = ("host", "id", "version", "type", "status", "description")
    return [str(plugin.get(key) or "-") for key in keys]


def print_logs(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print a line per record, newest last, then the nodes that gave none and why."""
    file.write(log_text(report))
    print_failures(report, file)


def log_text(report: Mapping[str, Any]) -> str:
    """Return all records of the report on logs, a line each."""
    return "".join(f"{log_line(record)}\n" for record in report["records"])


def log_line(record: Mapping[str, Any]) -> str:
    """Return one record as a line: time, level, node, component, message, and the other fields."""
    head = [record["timestamp"] or "-", (record["level"] or "-").upper().ljust(8)]
    where = [str(name) for name in (record.get("host") or record["node_id"], record["component"]) if name]
    rest = [f"{name}={value}" for name, value in record["fields"].items()]
    return " ".join([*head, *where, printable(" ".join([record["message"], *rest]), limit=MESSAGE_CHARACTERS)])


def print_failures(report: Mapping[str, Any], file: IO[str]) -> None:
    """Print a line per node that could not be asked."""
    for failure in report["failures"]:
        print(f"{failure['host']}: {failure['reason']}", file=file)
