"""What can be asked; the type parameter is what the answer is."""

from dataclasses import dataclass
from typing import Any

from flexcore.application.execution_history import ExecutionsPage
from flexcore.application.pipeline_views import PipelineStatusView
from flexcore.application.plugin_views import PluginPage
from flexcore.application.query_bus import Query
from flexcore.application.read_models.execution_history import ExecutionStatus


@dataclass(frozen=True, slots=True)
class GetPipelineStatus(Query[PipelineStatusView]):
    """Ask how a pipeline's latest run fares."""

    pipeline_id: str


@dataclass(frozen=True, slots=True)
class ListActivePlugins(Query[PluginPage]):
    """Ask which plugins take executions."""

    type: str | None = None
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class GetExecutionHistory(Query[ExecutionsPage]):
    """Ask what was executed, the newest first."""

    plugin_id: str | None = None
    status: ExecutionStatus | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class GetSystemMetrics(Query[dict[str, Any]]):
    """Ask what the installation has done so far."""
