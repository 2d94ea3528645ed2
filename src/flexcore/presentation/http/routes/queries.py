"""Queries as documents: one route for whatever can be asked."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from flexcore.application.paging import MAX_PAGE
from flexcore.application.queries import (
    GetExecutionHistory,
    GetPipelineStatus,
    GetSystemMetrics,
    ListActivePlugins,
)
from flexcore.application.query_bus import QueryBus
from flexcore.application.read_models.execution_history import MAX_PAGE as MOST_EXECUTIONS
from flexcore.application.read_models.execution_history import ExecutionStatus
from flexcore.domain.access import Role
from flexcore.presentation.http.operations import MAX_OFFSET, Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.parameters import Cursor
from flexcore.presentation.http.routes.plugins import ShortName

_QUERIES: Final = "/api/v1/flexcore/queries"


class PipelineParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which pipeline."""

    pipeline_id: Annotated[str, Meta(min_length=1, max_length=255)]


class ActivePluginsParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the active plugins."""

    type: ShortName | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 50
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET)] = 0


class ExecutionsParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """Which executions; `cursor` is the next_cursor of an earlier answer."""

    plugin_id: ShortName | None = None
    status: ExecutionStatus | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_EXECUTIONS)] = 50
    cursor: Cursor | None = None


class NoQueryParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a query that takes none."""


class QueryBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="query_type"):
    """What every query has; `query_id` comes back with the answer."""

    query_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]


class GetPipelineStatusQuery(QueryBody, frozen=True, tag="GetPipelineStatus"):
    """The latest run of a pipeline and how far it is; the data is that of GET pipelines/{id}/status."""

    parameters: PipelineParameters

    def query(self) -> GetPipelineStatus:
        """Translate it."""
        return GetPipelineStatus(self.parameters.pipeline_id)


class ListActivePluginsQuery(QueryBody, frozen=True, tag="ListActivePlugins"):
    """Plugins that take executions; the data is that of GET plugins."""

    parameters: ActivePluginsParameters = ActivePluginsParameters()

    def query(self) -> ListActivePlugins:
        """Translate it."""
        asked = self.parameters
        return ListActivePlugins(asked.type, asked.limit, asked.offset)


class GetExecutionHistoryQuery(QueryBody, frozen=True, tag="GetExecutionHistory"):
    """Executions, the newest first; the data is that of GET executions."""

    parameters: ExecutionsParameters = ExecutionsParameters()

    def query(self) -> GetExecutionHistory:
        """Translate it."""
        asked = self.parameters
        return GetExecutionHistory(asked.plugin_id, asked.status, asked.limit, asked.cursor)


class GetSystemMetricsQuery(QueryBody, frozen=True, tag="GetSystemMetrics"):
    """Counters of the whole installation."""

    parameters: NoQueryParameters = NoQueryParameters()

    def query(self) -> GetSystemMetrics:
        """Translate it."""
        return GetSystemMetrics()


AnyQuery = GetPipelineStatusQuery | ListActivePluginsQuery | GetExecutionHistoryQuery | GetSystemMetricsQuery


class QueryAnswer(Struct, frozen=True):
    """The answer to a query; what `data` holds depends on its type."""

    query_id: str
    data: Any
    execution_time_ms: float
    timestamp: datetime


class QueryRoutes:
    """/api/v1/flexcore/queries."""

    def __init__(self, queries: QueryBus) -> None:
        self._queries = queries

    def operations(self) -> tuple[Operation, ...]:
        """Declare the route."""
        return (
            Operation(
                method="POST",
                path=_QUERIES,
                name="askQuery",
                role=Role.VIEWER,
                changes=False,
                summary="Answer a query; nothing is changed",
                tag="queries",
                handler=self._ask,
                body=AnyQuery,
                answers={200: Content(QueryAnswer, "The answer")},
                problems=(404, 429, 503),
            ),
        )

    async def _ask(self, call: Call[NoParameters, AnyQuery]) -> Answer:
        start = time.perf_counter()
        data = await self._queries.ask(call.body.query())
        elapsed_ms = round((time.perf_counter() - start) * 1000, 3)
        return Answer(QueryAnswer(call.body.query_id, data, elapsed_ms, datetime.now(UTC)))
