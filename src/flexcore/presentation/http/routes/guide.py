"""The routes and shapes that existing FlexCore clients read: the same use cases under `/api/v1`."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from flexcore.application.logs import LogQuery, LogRecord, LogSource
from flexcore.application.paging import MAX_PAGE
from flexcore.application.plugin_views import ExecutePlugin, PluginView
from flexcore.application.plugins import Plugins
from flexcore.domain.access import Role
from flexcore.presentation.http.operations import Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.routes.commands import PluginName

_PLUGINS = "/api/v1/plugins"


class GuidePlugin(Struct, frozen=True):
    """A plugin as the client guide has it."""

    name: str
    version: str
    status: str
    dependencies: tuple[str, ...]
    entry_point: str


class GuideExecuteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which plugin, and its arguments."""

    plugin: PluginName
    args: dict[str, Any] = {}


class GuideLogsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET /api/v1/logs."""

    lines: Annotated[int, Meta(ge=1, le=10_000, description="Newest lines to give")] = 100


class GuideLogs(Struct, frozen=True):
    """Log lines, newest last."""

    logs: tuple[str, ...]


class GuideRoutes:
    """/api/v1/plugins and /api/v1/logs. Here a plugin is named by its id."""

    def __init__(self, plugins: Plugins, logs: LogSource) -> None:
        self._plugins = plugins
        self._logs = logs

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        result = {200: Content(Any, "What the plugin answered")}
        problems = (404, 409, 429, 503, 504)
        return (
            Operation(
                method="GET",
                path=_PLUGINS,
                name="guideListPlugins",
                summary="All plugins as a bare array",
                tag="client guide",
                handler=self._list,
                answers={200: Content(list[GuidePlugin], "All plugins")},
                problems=(429, 503),
            ),
            Operation(
                method="POST",
                path=_PLUGINS + "/execute",
                name="guideExecutePlugin",
                role=Role.OPERATOR,
                summary="Run a plugin's default operation",
                tag="client guide",
                handler=self._execute,
                body=GuideExecuteBody,
                answers=result,
                problems=problems,
            ),
            Operation(
                method="GET",
                path=_PLUGINS + "/{name}",
                name="guideGetPlugin",
                summary="One plugin",
                tag="client guide",
                handler=self._get,
                answers={200: Content(GuidePlugin, "The plugin")},
                problems=(404, 429, 503),
            ),
            Operation(
                method="POST",
                path=_PLUGINS + "/{name}/execute",
                name="guideExecuteNamedPlugin",
                role=Role.OPERATOR,
                summary="Run a plugin's default operation; the body is its arguments",
                tag="client guide",
                handler=self._execute_named,
                body=dict[str, Any],
                answers=result,
                problems=problems,
            ),
            Operation(
                method="GET",
                path="/api/v1/logs",
                name="guideGetLogs",
                summary="The newest log lines as text",
                tag="client guide",
                handler=self._get_logs,
                query=GuideLogsQuery,
                answers={200: Content(GuideLogs, "Log lines")},
            ),
        )

    async def _list(self, call: Call[NoParameters, None]) -> Answer:
        plugins: list[GuidePlugin] = []
        while True:
            page = await self._plugins.page(status=None, type=None, limit=MAX_PAGE, offset=len(plugins))
            plugins.extend(_guide(plugin) for plugin in page.plugins)
            if not page.plugins or len(plugins) >= page.total:
                return Answer(plugins)

    async def _get(self, call: Call[NoParameters, None]) -> Answer:
        return Answer(_guide(await self._plugins.get(call.path["name"])))

    async def _execute(self, call: Call[NoParameters, GuideExecuteBody]) -> Answer:
        return await self._run(call.body.plugin, call.body.args, call)

    async def _execute_named(self, call: Call[NoParameters, dict[str, Any]]) -> Answer:
        return await self._run(call.path["name"], call.body, call)

    async def _run(self, plugin_id: str, arguments: dict[str, Any], call: Call[Any, Any]) -> Answer:
        command = ExecutePlugin(
            plugin_id=plugin_id,
            operation=None,
            data=arguments,
            correlation_id=call.correlation_id,
            user_id=call.actor.name,
        )
        execution = await self._plugins.execute(command)
        return Answer(execution.result.data)

    async def _get_logs(self, call: Call[GuideLogsQuery, None]) -> Answer:
        page = self._logs.page(LogQuery(lines=call.query.lines))
        return Answer(GuideLogs(tuple(_line(record) for record in page.logs)))


def _guide(plugin: PluginView) -> GuidePlugin:
    return GuidePlugin(plugin.id, plugin.version, plugin.status, plugin.dependencies, plugin.entry_point)


def _line(record: LogRecord) -> str:
    timestamp = record.timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # One record is one line, whatever its message holds.
    message = " ".join(record.message.splitlines())
    return f"{timestamp} {record.level.upper()} {record.component}: {message}"
