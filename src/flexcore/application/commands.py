"""What can be asked to be done. ExecutePlugin, which is older than the command bus, is in `plugin_views`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flexcore.domain.pipeline_definition import PipelineDefinition


@dataclass(frozen=True, slots=True)
class CreatePipeline:
    """Record a new pipeline, as a draft."""

    definition: PipelineDefinition


@dataclass(frozen=True, slots=True)
class ActivatePipeline:
    """Let a pipeline be run."""

    pipeline_id: str


@dataclass(frozen=True, slots=True)
class StartPipeline:
    """Begin a run."""

    pipeline_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CancelPipeline:
    """End the present run before its time and stop its steps."""

    pipeline_id: str
    reason: str = "cancelled by a caller"


@dataclass(frozen=True, slots=True)
class DeletePipeline:
    """Take a pipeline away."""

    pipeline_id: str


@dataclass(frozen=True, slots=True)
class RegisterPlugin:
    """Record a plugin whose code this node has."""

    plugin_id: str


@dataclass(frozen=True, slots=True)
class EnablePlugin:
    """Let a plugin be executed."""

    plugin_id: str


@dataclass(frozen=True, slots=True)
class DisablePlugin:
    """Let a plugin no longer be executed."""

    plugin_id: str


@dataclass(frozen=True, slots=True)
class RemovePlugin:
    """Take a plugin away."""

    plugin_id: str
