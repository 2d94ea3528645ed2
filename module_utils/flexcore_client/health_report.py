"""One report from the checks of many hosts: a row per service, the worst verdict wins, and what to open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .address import parse_address
from .health import unchecked
from .models import HealthStatus, ServiceHealth
from .node_reports import failure_words
from .targets import parse_targets

NOT_REACHED = "the host could not be reached to check from it"
NOT_RUN = "the check could not run"


def health_report(checks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Build the report from ``{host, targets, result}`` per host.

    ``targets`` is what the host was asked to look at, ``result`` what the module returned, also when it failed or the
    host was unreachable: then every target that nobody else saw is UNKNOWN with the reason.
    """
    seen: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for check in checks:
        for row in _rows_of(check):
            seen.setdefault(_identity(row), []).append(row)
    rows = [_merged(group) for group in seen.values()]
    rows.sort(key=lambda row: (("flexcore", "postgresql", "redis").index(row["kind"]), row["host"], row["address"]))
    ill = [row for row in rows if row["status"] != HealthStatus.HEALTHY.value]
    return {
        "report": "health",
        "healthy": bool(rows) and not ill,
        "summary": _summary(rows, ill),
        "services": rows,
        "url": next((row["address"] for row in rows if row["kind"] == "flexcore" and row not in ill), None),
    }


def _rows_of(check: Mapping[str, Any]) -> list[dict[str, Any]]:
    host, result = str(check["host"]), check["result"]
    looked = "targets" in result
    if looked:
        verdicts = [ServiceHealth.from_dict(verdict) for verdict in result["targets"]]
    else:
        cause = f"{NOT_REACHED if result.get('unreachable') else NOT_RUN}: {failure_words(result)}"
        verdicts = [unchecked(target, cause) for target in parse_targets(check["targets"])]
    return [{**verdict.to_row(), "host": host, "seen_from": [host], "looked": looked} for verdict in verdicts]


def _identity(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Two rows with the same identity are one service; a loopback address is another service on each host."""
    if parse_address(row["address"]).is_loopback:
        return (row["address"], row["host"])
    return (row["address"],)


def _merged(group: list[dict[str, Any]]) -> dict[str, Any]:
    """Take the worst verdict on a service; a host that could not look has no say while another could."""
    looked = [row for row in group if row["looked"]] or group
    worst = max(looked, key=lambda row: (HealthStatus(row["status"]).severity, row["response_time_ms"] or 0))
    merged = {**worst, "seen_from": [host for row in looked for host in row["seen_from"]]}
    del merged["looked"]
    if merged["version"] is None:
        merged["version"] = next((row["version"] for row in looked if row["version"]), None)
    if len({row["status"] for row in looked}) > 1:
        merged["cause"] = f"seen from {worst['host']}: {worst['cause']}"
    return merged


def _summary(rows: list[dict[str, Any]], ill: list[dict[str, Any]]) -> str:
    if not rows:
        return "there is no service to check"
    if not ill:
        return f"all {len(rows)} services are healthy"
    culprits = list(dict.fromkeys(row["culprit"] for row in ill))
    # A service that another one fails for comes before those that fail because of it.
    culprits.sort(key=lambda name: name == "flexcore")
    return f"{len(ill)} of {len(rows)} services are not healthy, look at {culprits[0]} first"
