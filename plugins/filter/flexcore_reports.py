"""Filters that turn what the modules returned on many hosts into one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flexcore_client.health_report import health_report


def health_of_hosts(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> dict[str, Any]:
    """Build the health report from the facts ``health_targets`` and ``health_check`` of ``hosts``."""
    return health_report(
        {"host": host, "targets": hostvars[host]["health_targets"], "result": hostvars[host]["health_check"]}
        for host in hosts
    )


class FilterModule:
    """The filters of this project."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"flexcore_health_report": health_of_hosts}
