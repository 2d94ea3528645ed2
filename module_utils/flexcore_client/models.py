"""What the client returns, whichever dialect the server speaks."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class HealthStatus(str, enum.Enum):
    """A verdict. UNKNOWN means that nothing could be proven, and counts as not healthy."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"

    @property
    def severity(self) -> int:
        """How bad it is, for taking the worst of several verdicts: 0 is healthy."""
        return ("HEALTHY", "DEGRADED", "UNKNOWN", "UNHEALTHY").index(self.value)


@dataclass(frozen=True)
class ServiceHealth:
    """The verdict on one service.

    ``response_time_ms`` is the time of the deciding request, None when there was no answer; ``uptime`` is in seconds;
    ``last_check`` is RFC 3339 UTC, None for a check that did not take place. ``details`` always holds ``url``,
    ``service`` (flexcore, postgresql or redis), ``cause`` (None when healthy) and ``culprit`` (the service to look at,
    None when healthy).
    """

    service_name: str
    status: HealthStatus
    response_time_ms: float | None
    version: str | None
    uptime: int | None
    last_check: str | None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether the service is fully healthy; degraded is not."""
        return self.status is HealthStatus.HEALTHY

    def worse(self, status: HealthStatus, cause: str, culprit: str) -> ServiceHealth:
        """Return this verdict lowered to ``status`` for a reason that its own answer did not show."""
        details = {**self.details, "cause": cause, "culprit": culprit}
        return dataclasses.replace(self, status=status, details=details)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON and for Ansible."""
        return {**dataclasses.asdict(self), "status": self.status.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ServiceHealth:
        """Read what ``to_dict`` wrote."""
        return cls(**{**data, "status": HealthStatus(data["status"])})

    def to_row(self) -> dict[str, Any]:
        """Return the flat form that reports and histories have."""
        return {
            "service": self.service_name,
            "kind": self.details["service"],
            "status": self.status.value,
            "version": self.version,
            "response_time_ms": self.response_time_ms,
            "uptime_seconds": self.uptime,
            "address": self.details["url"],
            "cause": self.details["cause"],
            "culprit": self.details["culprit"],
            "last_check": self.last_check,
        }


@dataclass(frozen=True)
class PluginInfo:
    """One plugin; fields that a dialect does not have are None or empty."""

    id: str
    name: str
    version: str | None
    type: str | None
    status: str | None
    description: str | None
    dependencies: list[str]
    capabilities: list[str]
    entry_point: str | None
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON and for Ansible."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class LogRecord:
    """One log record; ``timestamp`` is RFC 3339 UTC or None, ``fields`` is what else the record carries."""

    timestamp: str | None
    level: str | None
    message: str
    component: str | None = None
    correlation_id: str | None = None
    node_id: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON and for Ansible."""
        return dataclasses.asdict(self)
