"""What can be asked to be done. ExecutePlugin, which is older than the command bus, is in `plugin_views`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flexcore.application.plugin_sources import Upload
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
class FromMarketplace:
    """A package of the marketplace: an exact version, the newest of a range, or the newest at all."""

    version: str | None = None


@dataclass(frozen=True, slots=True)
class RegisterPlugin:
    """Add a plugin. Without a `source` it is one that came with FlexCore; an upload names itself."""

    plugin_id: str | None
    source: Upload | FromMarketplace | None = None


@dataclass(frozen=True, slots=True)
class ReplacePlugin:
    """Put another version in the place of the one that is there."""

    plugin_id: str
    source: Upload | FromMarketplace


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
    """Take a plugin away, with `cascade` also those that depend on it."""

    plugin_id: str
    cascade: bool = False
