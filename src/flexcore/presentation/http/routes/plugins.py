"""The plugins: list, inspect, execute."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from flexcore.application.paging import MAX_PAGE
from flexcore.application.plugin_executions import PluginExecutions
from flexcore.application.plugin_views import (
    DEFAULT_TIMEOUT_SECONDS,
    ExecutePlugin,
    Execution,
    PluginCommandsView,
    PluginPage,
    PluginStatusView,
    PluginView,
    QueuedExecution,
)
from flexcore.application.plugins import Plugins
from flexcore.domain.access import Role
from flexcore.presentation.http.operations import MAX_OFFSET, Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.routes.executions import EXECUTIONS

_PLUGINS = "/api/v1/flexcore/plugins"
ShortName = Annotated[str, Meta(min_length=1, max_length=63)]


class PluginsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET plugins."""

    status: Annotated[Literal["active", "inactive", "error"] | None, Meta(description="Only plugins so")] = None
    type: Annotated[ShortName | None, Meta(description="Only plugins of this type")] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Plugins a page")] = 50
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Plugins to leave out at the start")] = 0


class ExecuteParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """How long it may take, and what to work on."""

    timeout_seconds: Annotated[float, Meta(ge=1, le=300)] = DEFAULT_TIMEOUT_SECONDS
    data: dict[str, Any] = {}


class ExecuteMetadata(Struct, frozen=True, forbid_unknown_fields=True):
    """The correlation id defaults to that of the request. `user_id` is whom the caller says to act for.

    What is recorded as `user_id` is the caller, and behind it, after the word `for`, whom it says to act for.
    """

    correlation_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")] | None = None
    user_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class ExecuteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One operation of a plugin; without a name it is the plugin's default one."""

    operation: ShortName | None = None
    parameters: ExecuteParameters = ExecuteParameters()
    metadata: ExecuteMetadata = ExecuteMetadata()


class ExecuteQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"asynchronous": "async"}):
    """Parameters of POST plugins/{id}/execute."""

    asynchronous: Annotated[
        bool, Meta(description="Answer at once; some node runs it, and GET executions/{id} tells how it fares")
    ] = False


class PluginRoutes:
    """/api/v1/flexcore/plugins and below."""

    def __init__(self, plugins: Plugins, executions: PluginExecutions) -> None:
        self._plugins = plugins
        self._executions = executions

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=_PLUGINS,
                name="listPlugins",
                summary="Installed plugins, ordered by id",
                tag="plugins",
                handler=self._list,
                query=PluginsQuery,
                answers={200: Content(PluginPage, "One page of plugins")},
                problems=(429, 503),
            ),
            Operation(
                method="GET",
                path=_PLUGINS + "/{id}",
                name="getPlugin",
                summary="One plugin",
                tag="plugins",
                handler=self._get,
                answers={200: Content(PluginView, "The plugin")},
                problems=(404, 429, 503),
            ),
            Operation(
                method="GET",
                path=_PLUGINS + "/{id}/status",
                name="getPluginStatus",
                summary="How one plugin fares",
                tag="plugins",
                handler=self._status,
                answers={200: Content(PluginStatusView, "Its executions and what they use now")},
                problems=(404, 429, 503),
            ),
            Operation(
                method="GET",
                path=_PLUGINS + "/{id}/commands",
                name="listPluginCommands",
                summary="What one plugin can do, with the JSON Schema of each command's parameters",
                tag="plugins",
                handler=self._commands,
                answers={200: Content(PluginCommandsView, "Its commands")},
                problems=(404, 409, 429, 503),
            ),
            Operation(
                method="POST",
                path=_PLUGINS + "/{id}/execute",
                name="executePlugin",
                role=Role.OPERATOR,
                summary="Run one operation of a plugin, to its end or, with async=true, from the queue",
                tag="plugins",
                handler=self._execute,
                query=ExecuteQuery,
                body=ExecuteBody,
                idempotent=True,
                answers={
                    200: Content(Execution, "The plugin's answer"),
                    202: Content(QueuedExecution, "Queued"),
                },
                problems=(404, 409, 429, 503, 504),
            ),
        )

    async def _list(self, call: Call[PluginsQuery, None]) -> Answer:
        query = call.query
        return Answer(
            await self._plugins.page(status=query.status, type=query.type, limit=query.limit, offset=query.offset)
        )

    async def _get(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._plugins.get(call.path["id"]))

    async def _status(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._plugins.status(call.path["id"]))

    async def _commands(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(await self._plugins.commands(call.path["id"]))

    async def _execute(self, call: Call[ExecuteQuery, ExecuteBody]) -> Answer:
        body = call.body
        command = ExecutePlugin(
            plugin_id=call.path["id"],
            operation=body.operation,
            data=body.parameters.data,
            timeout_seconds=body.parameters.timeout_seconds,
            correlation_id=body.metadata.correlation_id or call.correlation_id,
            user_id=call.actor.acting_for(body.metadata.user_id),
        )
        if call.query.asynchronous:
            queued = await self._executions.queue(command, call.idempotency_key)
            return Answer(queued, 202, {"location": f"{EXECUTIONS}/{queued.execution_id}"})
        return Answer(await self._executions.execute(command, call.idempotency_key))
