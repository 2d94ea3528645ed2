"""The read model pipeline_status through the port PipelineList."""

from datetime import datetime
from typing import Final

from flexcore.application.pipeline_views import PipelinePage, PipelineRow, PipelineStepRow
from flexcore.application.projections.freshness import Freshness
from flexcore.application.read_models.pipeline_status import PipelineStatusProjection, PipelineStatusRow
from flexcore.domain.pipeline import PipelineStatus
from flexcore.domain.pipeline_run import StepStatus
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.read_model_table import table_of

_PROJECTION: Final = PipelineStatusProjection()
_TABLE: Final = table_of(_PROJECTION)

# A row without a time of creation is of a stream that does not begin with one, and so of no pipeline.
_FOUND: Final = f"{_TABLE.live} AND NOT deleted AND created_at IS NOT NULL AND ($1::text IS NULL OR status = $1)"
_PAGE: Final = f"SELECT {_TABLE.list} FROM {_FOUND} ORDER BY position DESC LIMIT $2 OFFSET $3"  # noqa: S608 - names of ours
_COUNT: Final = f"SELECT count(*) FROM {_FOUND}"  # noqa: S608 - names of ours


class PostgresPipelineList:
    """Every question first waits for what was recorded before it."""

    def __init__(self, database: Database, freshness: Freshness) -> None:
        self._database = database
        self._freshness = freshness

    async def page(self, *, status: str | None, limit: int, offset: int) -> PipelinePage:
        """Read part of the list, the newest first; raises Unavailable."""
        await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection, connection.transaction(isolation="repeatable_read"):
            total = await connection.fetchval(_COUNT, status)
            records = await connection.fetch(_PAGE, status, limit, offset)
        rows = tuple(_shown(row, row.created_at) for row in map(_TABLE.of, records) if row.created_at is not None)
        return PipelinePage(rows, total=total, limit=limit, offset=offset)

    async def running(self) -> int:
        """Count the pipelines that run now; raises Unavailable."""
        await self._freshness.reach(_PROJECTION)
        async with self._database.session() as connection:
            return int(await connection.fetchval(_COUNT, PipelineStatus.RUNNING.value))


def _shown(row: PipelineStatusRow, created_at: datetime) -> PipelineRow:
    return PipelineRow(
        id=row.pipeline_id,
        name=row.name,
        status=PipelineStatus(row.status),
        owner=row.owner,
        created_at=created_at,
        last_run=row.last_run,
        steps=tuple(
            PipelineStepRow(step["id"], step["name"], step["type"], StepStatus(step["status"])) for step in row.steps
        ),
    )
