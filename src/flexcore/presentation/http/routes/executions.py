"""The executions of all nodes: list, look, cancel."""

from typing import Annotated

from msgspec import Meta, Struct

from flexcore.application.execution_history import (
    CancelledExecution,
    ExecutionDesk,
    ExecutionDetails,
    ExecutionsPage,
)
from flexcore.application.read_models.execution_history import MAX_PAGE, ExecutionQuery, ExecutionStatus
from flexcore.domain.access import Role
from flexcore.presentation.http.operations import Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.parameters import Cursor

EXECUTIONS = "/api/v1/flexcore/executions"


class ExecutionsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET executions."""

    plugin_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=63)] | None, Meta(description="Only executions of this plugin")
    ] = None
    status: Annotated[ExecutionStatus | None, Meta(description="Only executions that stand so")] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Executions a page")] = 50
    cursor: Annotated[Cursor | None, Meta(description="next_cursor of an earlier answer: older ones")] = None


class ExecutionRoutes:
    """/api/v1/flexcore/executions and below."""

    def __init__(self, desk: ExecutionDesk) -> None:
        self._desk = desk

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=EXECUTIONS,
                name="listExecutions",
                summary="Executions of all nodes, newest first",
                tag="executions",
                handler=self._list,
                query=ExecutionsQuery,
                answers={200: Content(ExecutionsPage, "One page of executions")},
                problems=(429, 503),
            ),
            Operation(
                method="GET",
                path=EXECUTIONS + "/{id}",
                name="getExecution",
                summary="One execution, with the plugin's answer if it is kept",
                tag="executions",
                handler=self._get,
                answers={200: Content(ExecutionDetails, "The execution")},
                problems=(404, 429, 503),
            ),
            Operation(
                method="POST",
                path=EXECUTIONS + "/{id}/cancel",
                name="cancelExecution",
                role=Role.OPERATOR,
                summary="End an execution that is queued or running, whichever node runs it",
                tag="executions",
                handler=self._cancel,
                answers={200: Content(CancelledExecution, "Cancelled, or about to be")},
                problems=(404, 409, 429, 503),
            ),
        )

    async def _list(self, call: Call[ExecutionsQuery, None]) -> Answer:
        query = call.query
        return Answer(await self._desk.page(ExecutionQuery(query.plugin_id, query.status, query.limit, query.cursor)))

    async def _get(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._desk.get(call.path["id"]))

    async def _cancel(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._desk.cancel(call.path["id"]))
