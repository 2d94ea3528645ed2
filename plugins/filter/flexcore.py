"""Filters that name services, and that turn what the modules returned on many hosts into one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flexcore_client.address import Address
from flexcore_client.health_report import health_report
from flexcore_client.node_reports import logs_report, pipelines_report, plugins_report
from flexcore_client.report_printer import log_text


def health_of_hosts(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> dict[str, Any]:
    """Build the health report from the facts ``health_targets`` and ``health_check`` of ``hosts``."""
    return health_report(
        {"host": host, "targets": hostvars[host]["health_targets"], "result": hostvars[host]["health_check"]}
        for host in hosts
    )


def plugins_of_hosts(
    hostvars: Mapping[str, Any], hosts: Sequence[str], brought: Sequence[Mapping[str, Any]] = (), planned: bool = False
) -> dict[str, Any]:
    """Build the report on plugins from the result ``node_answer`` of ``hosts`` and the results of what was declared."""
    return plugins_report(({"host": host, "result": hostvars[host]["node_answer"]} for host in hosts), brought, planned)


def logs_of_hosts(hostvars: Mapping[str, Any], hosts: Sequence[str], lines: int | str) -> dict[str, Any]:
    """Build the report on logs from the result ``node_answer`` of ``hosts``."""
    return logs_report(({"host": host, "result": hostvars[host]["node_answer"]} for host in hosts), int(lines))


def service_url(host: str, scheme: str, port: int | str) -> str:
    """Build the address of a service, with the brackets that an IPv6 address needs."""
    return Address(scheme, str(host), int(port)).url


class FilterModule:
    """The filters of this project."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "flexcore_service_url": service_url,
            "flexcore_health_report": health_of_hosts,
            "flexcore_plugins_report": plugins_of_hosts,
            "flexcore_pipelines_report": pipelines_report,
            "flexcore_logs_report": logs_of_hosts,
            "flexcore_log_text": log_text,
        }
