"""The list of all pipelines."""

from typing import Protocol

from flexcore.application.pipeline_views import PipelinePage


class PipelineList(Protocol):
    """Finds pipelines. Raises Unavailable while the database does not answer."""

    async def page(self, *, status: str | None, limit: int, offset: int) -> PipelinePage:
        """Read part of the list, the newest first."""
        ...

    async def running(self) -> int:
        """Count the pipelines that run now."""
        ...
