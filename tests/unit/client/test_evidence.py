"""What the verdicts of one run say about each other, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flexcore_client.evidence import reconcile
from flexcore_client.models import HealthStatus, ServiceHealth


def seen(service: str, status: str = "HEALTHY", cause: str | None = None, **details: Any) -> ServiceHealth:
    culprit = None if status == "HEALTHY" else service
    told = {"url": f"{service}://host", "service": service, "cause": cause, "culprit": culprit, **details}
    return ServiceHealth(service, HealthStatus(status), 1.0, None, None, None, told)


def part(status: str = "HEALTHY", message: str | None = None, version: str | None = None) -> dict[str, Any]:
    return {"status": status, "message": message, "version": version, "response_time_ms": 1.0}


def flexcore(**components: dict[str, Any]) -> ServiceHealth:
    return replace(seen("flexcore", caveat="", components=components), service_name="api")


POSTGRESQL, REDIS = seen("postgresql"), seen("redis")
DEAD_POSTGRESQL = seen("postgresql", "UNHEALTHY", "connection refused")
DEAD_REDIS = seen("redis", "UNHEALTHY", "no answer")
CLAIMING = seen("flexcore", caveat="does not probe Redis")


@pytest.mark.parametrize(
    ("servers", "cause", "culprit"),
    [
        ([DEAD_POSTGRESQL], "claims healthy, but postgresql: connection refused", "postgresql"),
        ([DEAD_REDIS], "claims healthy, but redis: no answer", "redis"),
        ([DEAD_REDIS, DEAD_POSTGRESQL], "claims healthy, but postgresql: connection refused", "postgresql"),
        ([POSTGRESQL, DEAD_POSTGRESQL, REDIS], "claims healthy, but postgresql: connection refused", "postgresql"),
    ],
)
def test_a_claim_without_probes_is_lowered_by_a_dead_server(
    servers: list[ServiceHealth], cause: str, culprit: str
) -> None:
    lowered = replace(
        CLAIMING, status=HealthStatus.DEGRADED, details={**CLAIMING.details, "cause": cause, "culprit": culprit}
    )
    assert reconcile([CLAIMING, *servers]) == [lowered, *servers]
    assert reconcile([*servers, CLAIMING]) == [*servers, lowered]


ILL = seen("flexcore", "DEGRADED", "disk: full", culprit="disk", caveat="does not probe Redis")
FAILING_STORE = seen("flexcore", "UNHEALTHY", "event_store: no store", culprit="event_store", caveat="")


@pytest.mark.parametrize(
    "results",
    [
        [CLAIMING, POSTGRESQL, REDIS],
        [CLAIMING, seen("postgresql", "UNKNOWN", "does not speak PostgreSQL's protocol")],
        [replace(CLAIMING, details={**CLAIMING.details, "caveat": ""}), DEAD_POSTGRESQL, DEAD_REDIS],
        [seen("flexcore"), DEAD_POSTGRESQL],
        [ILL, DEAD_POSTGRESQL, DEAD_REDIS],
        [FAILING_STORE],
        [FAILING_STORE, POSTGRESQL, DEAD_REDIS],
        [FAILING_STORE, seen("postgresql", "UNKNOWN", "does not speak PostgreSQL's protocol")],
    ],
)
def test_a_verdict_that_no_other_one_contradicts_stays(results: list[ServiceHealth]) -> None:
    assert reconcile(results) == results


@pytest.mark.parametrize("consequence", ["event_store", "job_queue"])
def test_a_part_that_fails_because_of_a_dead_server_is_not_the_culprit(consequence: str) -> None:
    failing = seen("flexcore", "UNHEALTHY", f"{consequence}: fails", culprit=consequence)
    blamed = {**failing.details, "cause": "postgresql: connection refused", "culprit": "postgresql"}
    assert reconcile([failing, POSTGRESQL, DEAD_POSTGRESQL]) == [
        replace(failing, details=blamed),
        POSTGRESQL,
        DEAD_POSTGRESQL,
    ]


@pytest.mark.parametrize(
    ("component", "status", "version", "cause"),
    [
        (part(version="15.14"), "HEALTHY", "15.14", None),
        (part("UNHEALTHY", "no login", "15.14"), "UNHEALTHY", "15.14", "api reports: no login"),
        (part("UNHEALTHY"), "UNHEALTHY", None, "api reports: unhealthy"),
        (part("DEGRADED", "slow"), "DEGRADED", None, "api reports: slow"),
        (part("UNKNOWN", "a strange word"), "HEALTHY", None, None),
    ],
)
@pytest.mark.parametrize("server", [POSTGRESQL, REDIS])
def test_flexcore_knows_more_of_its_server_than_that_it_lives(
    server: ServiceHealth, component: dict[str, Any], status: str, version: str | None, cause: str | None
) -> None:
    service = server.service_name
    told = {**server.details, "cause": cause, "culprit": service if cause else None}
    completed = replace(server, status=HealthStatus(status), version=version, details=told)
    # A FlexCore that does not name the server comes first, and has nothing to say.
    reports = [flexcore(disk=part()), flexcore(**{service: component})]
    assert reconcile([server, *reports]) == [completed, *reports]


def test_what_the_server_itself_showed_counts_for_more_than_what_flexcore_says_of_it() -> None:
    server = replace(DEAD_POSTGRESQL, version="14.1")
    report = flexcore(postgresql=part("DEGRADED", "slow", "15.14"))
    assert reconcile([server, report])[0] == server


def test_of_several_that_report_on_a_server_the_first_one_counts() -> None:
    reports = [
        flexcore(redis=part("DEGRADED", "slow", "7.0")),
        flexcore(redis=part("UNHEALTHY", "no answer", "6.0")),
    ]
    completed = reconcile([REDIS, *reports])[0]
    assert (completed.status.value, completed.version, completed.details["cause"]) == (
        "DEGRADED",
        "7.0",
        "api reports: slow",
    )


def test_with_two_servers_of_a_kind_no_report_is_pinned_on_either() -> None:
    results = [POSTGRESQL, REDIS, POSTGRESQL, flexcore(postgresql=part("UNHEALTHY", "no login", "15.14"))]
    assert reconcile(results) == results
