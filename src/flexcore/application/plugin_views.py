"""What the plugin use cases take and answer. Field names are those of the API; times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from flexcore.application.ports import ExecutionStatistics, PluginAnswer, ResourceUsage
from flexcore.domain.manifest import HEALTH, PluginManifest
from flexcore.domain.plugin import Plugin, PluginStatus

DEFAULT_TIMEOUT_SECONDS = 30.0

HealthStatus = Literal["healthy", "unhealthy", "unknown"]


@dataclass(frozen=True, slots=True)
class PluginView:
    """One plugin as `GET plugins` shows it.

    `health_status` is that of its latest finished execution, "unknown" before the first.
    """

    id: str
    name: str
    version: str
    type: str
    status: PluginStatus
    description: str
    dependencies: tuple[str, ...]
    entry_point: str
    capabilities: tuple[str, ...]
    health_status: HealthStatus
    last_execution: datetime | None
    execution_count: int
    average_duration_ms: float | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, plugin: Plugin, status: PluginStatus, statistics: ExecutionStatistics) -> "PluginView":
        """Join a plugin that exists with its executions."""
        if plugin.created_at is None or plugin.updated_at is None:
            raise ValueError(f"plugin '{plugin.id}' was never registered")
        return cls(
            id=plugin.id,
            name=plugin.name,
            version=plugin.version,
            type=plugin.type,
            status=status,
            description=plugin.description,
            dependencies=plugin.dependencies,
            entry_point=plugin.entry_point,
            capabilities=plugin.capabilities,
            health_status=health_of(status, statistics),
            last_execution=statistics.last_execution,
            execution_count=statistics.total,
            average_duration_ms=statistics.average_duration_ms,
            created_at=plugin.created_at,
            updated_at=plugin.updated_at,
        )


def health_of(status: PluginStatus, statistics: ExecutionStatistics) -> HealthStatus:
    """Judge a plugin: unhealthy if it can't run here, else as its latest finished execution ended."""
    if status is PluginStatus.ERROR or statistics.last_failed:
        return "unhealthy"
    return "healthy" if statistics.successful else "unknown"


@dataclass(frozen=True, slots=True)
class PluginPage:
    """Part of the list of plugins, ordered by id; `total` counts all that match."""

    plugins: tuple[PluginView, ...]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class PluginCommandView:
    """One thing a plugin does. `parameters` is a JSON Schema; the `default` one is what no operation means."""

    name: str
    description: str
    default: bool
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PluginCommandsView:
    """What a plugin can do, in the version that this node runs."""

    plugin_id: str
    version: str
    commands: tuple[PluginCommandView, ...]

    @classmethod
    def of(cls, manifest: PluginManifest) -> "PluginCommandsView":
        """Show the commands of a manifest, with the one that every plugin has."""
        commands = list(manifest.commands)
        if all(command.name != HEALTH for command in commands):
            commands.append(manifest.command(HEALTH))
        shown = (PluginCommandView(each.name, each.description, each.default, each.parameters) for each in commands)
        return cls(manifest.id, manifest.version, tuple(shown))


@dataclass(frozen=True, slots=True)
class PluginMetrics:
    """A plugin's executions over all nodes, and for how long this node has offered the plugin.

    `peak_memory_bytes` is the most that one execution took.
    """

    total_executions: int
    successful_executions: int
    failed_executions: int
    average_duration_ms: float | None
    average_cpu_ms: float | None
    peak_memory_bytes: int | None
    last_execution: datetime | None
    uptime_seconds: int


@dataclass(frozen=True, slots=True)
class PluginStatusView:
    """One plugin as `GET plugins/{id}/status` shows it; `resource_usage` is this node's."""

    id: str
    name: str
    status: PluginStatus
    health_status: HealthStatus
    metrics: PluginMetrics
    resource_usage: ResourceUsage


@dataclass(frozen=True, slots=True)
class ExecutePlugin:
    """Run one operation of a plugin. `operation` None is the plugin's default operation."""

    plugin_id: str
    operation: str | None
    data: Mapping[str, Any]
    correlation_id: str
    user_id: str | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution that came to an answer; `result.success` is the plugin's own verdict."""

    execution_id: str
    plugin_id: str
    result: PluginAnswer
    execution_time_ms: float
    started_at: datetime
    completed_at: datetime
    metadata: Mapping[str, Any]
    status: Literal["completed"] = field(default="completed")


@dataclass(frozen=True, slots=True)
class QueuedExecution:
    """An execution that some node will run; `GET executions/{id}` tells how it fares."""

    execution_id: str
    status: Literal["queued"] = field(default="queued")
