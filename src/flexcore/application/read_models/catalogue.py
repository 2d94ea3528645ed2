"""All read models, by what makes them."""

from collections.abc import Mapping
from typing import Any, Final

from flexcore.application.projections.projection import Projection
from flexcore.application.read_models.execution_history import ExecutionHistoryProjection
from flexcore.application.read_models.pipeline_status import PipelineStatusProjection
from flexcore.application.read_models.plugin_inventory import PluginInventoryProjection
from flexcore.application.read_models.system_metrics import SystemMetricsProjection

PROJECTIONS: Final[Mapping[str, Projection[Any]]] = {
    projection.name: projection
    for projection in (
        ExecutionHistoryProjection(),
        PipelineStatusProjection(),
        PluginInventoryProjection(),
        SystemMetricsProjection(),
    )
}
