"""The list of all pipelines."""

from typing import Protocol

from flexcore.application.events import EventQuery, Events
from flexcore.application.pipeline_streams import PipelineStreams
from flexcore.application.pipeline_views import PipelinePage, PipelineRow, PipelineStepRow, PipelineView
from flexcore.domain.errors import NotFound
from flexcore.domain.events import PipelineEvent
from flexcore.domain.pipeline import PipelineStatus


class PipelineList(Protocol):
    """Finds pipelines. Raises Unavailable while the database does not answer."""

    async def page(self, *, status: str | None, limit: int, offset: int) -> PipelinePage:
        """Read part of the list, the newest first."""
        ...

    async def running(self) -> int:
        """Count the pipelines that run now."""
        ...


class StreamList:
    """Reads every stream. It is always up to date, and slow where there are many pipelines."""

    def __init__(self, events: Events, streams: PipelineStreams) -> None:
        self._events = events
        self._streams = streams

    async def page(self, *, status: str | None, limit: int, offset: int) -> PipelinePage:
        """Read part of the list, the newest first."""
        found = [view for view in await self._all() if status in (None, view.status)]
        rows = tuple(_row(view) for view in found[offset : offset + limit])
        return PipelinePage(rows, total=len(found), limit=limit, offset=offset)

    async def running(self) -> int:
        """Count the pipelines that run now."""
        return sum(view.status is PipelineStatus.RUNNING for view in await self._all())

    async def _all(self) -> list[PipelineView]:
        views: list[PipelineView] = []
        query = EventQuery(event_type=PipelineEvent.CREATED, limit=1000)
        while True:
            page = await self._events.page(query)
            for event in page.events:
                try:
                    views.append(PipelineView.of(await self._streams.find(event.aggregate_id)))
                except NotFound:
                    continue  # deleted
            if not page.has_more:
                return views[::-1]
            query = EventQuery(event_type=PipelineEvent.CREATED, limit=1000, cursor=page.next_cursor)


def _row(view: PipelineView) -> PipelineRow:
    steps = tuple(PipelineStepRow(step.id, step.name, step.type, step.status) for step in view.steps)
    return PipelineRow(view.id, view.name, view.status, view.owner, view.created_at, view.last_run, steps)
