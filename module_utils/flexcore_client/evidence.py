"""What the verdicts of one run say about each other.

PostgreSQL and Redis prove without credentials only that they live. FlexCore logs in to them all the time, so its
components know their versions and whether a login works; and a FlexCore that claims health without probing its
services is not believed while one of them is seen to be down. A part of FlexCore that fails because of a server which
is seen to be down is not the culprit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from .health import CONSEQUENCE_OF
from .models import HealthStatus, ServiceHealth

DEPENDENCIES = ("postgresql", "redis")


def reconcile(results: Sequence[ServiceHealth]) -> list[ServiceHealth]:
    """Return the verdicts, in order, completed by what the others know."""
    servers = {
        service: [result for result in results if result.details["service"] == service] for service in DEPENDENCIES
    }
    reports = [result for result in results if result.details.get("components")]
    return [_completed(result, servers, reports) for result in results]


def _completed(
    result: ServiceHealth, servers: dict[str, list[ServiceHealth]], reports: list[ServiceHealth]
) -> ServiceHealth:
    service = str(result.details["service"])
    if service in DEPENDENCIES:
        # With two servers of a kind nobody can say which of them a component means.
        return _with_component(result, service, reports) if len(servers[service]) == 1 else result
    if result.healthy and result.details.get("caveat"):
        for dependency in DEPENDENCIES:
            for server in servers[dependency]:
                if server.status is HealthStatus.UNHEALTHY:
                    cause = f"claims healthy, but {dependency}: {server.details['cause']}"
                    return result.worse(HealthStatus.DEGRADED, cause, dependency)
    # FlexCore's own probe of the server may come a second after the first component that missed it.
    root = CONSEQUENCE_OF.get(str(result.details["culprit"]))
    for server in servers[root] if root else ():
        if server.status is HealthStatus.UNHEALTHY:
            return result.worse(result.status, f"{root}: {server.details['cause']}", str(root))
    return result


def _with_component(result: ServiceHealth, service: str, reports: list[ServiceHealth]) -> ServiceHealth:
    for report in reports:
        component: dict[str, Any] | None = report.details["components"].get(service)
        if component is None:
            continue
        if result.version is None and component["version"]:
            result = dataclasses.replace(result, version=component["version"])
        seen = HealthStatus(component["status"])
        if result.healthy and seen in (HealthStatus.UNHEALTHY, HealthStatus.DEGRADED):
            words = component["message"] or seen.value.lower()
            result = result.worse(seen, f"{report.service_name} reports: {words}", service)
    return result
