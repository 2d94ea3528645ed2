"""The lives of plugins: enable, disable, remove."""

from typing import Any, Final

from flexcore.application.command_bus import CommandBus, Request
from flexcore.application.commands import DisablePlugin, EnablePlugin, RemovePlugin
from flexcore.application.plugin_views import PluginView
from flexcore.application.plugins import Plugins
from flexcore.domain.access import Role
from flexcore.presentation.http.operations import Answer, Call, Content, Operation

_PLUGIN: Final = "/api/v1/flexcore/plugins/{id}"


class PluginLifecycleRoutes:
    """What changes plugins, below /api/v1/flexcore/plugins."""

    def __init__(self, plugins: Plugins, commands: CommandBus) -> None:
        self._plugins = plugins
        self._commands = commands

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        plugin = {200: Content(PluginView, "The plugin")}
        return (
            Operation(
                method="POST",
                path=_PLUGIN + "/enable",
                name="enablePlugin",
                role=Role.OPERATOR,
                summary="Let a plugin be executed",
                tag="plugins",
                handler=self._enable,
                answers=plugin,
                problems=(404, 429, 503),
            ),
            Operation(
                method="POST",
                path=_PLUGIN + "/disable",
                name="disablePlugin",
                role=Role.OPERATOR,
                summary="Let a plugin no longer be executed; what runs goes on",
                tag="plugins",
                handler=self._disable,
                answers=plugin,
                problems=(404, 429, 503),
            ),
            Operation(
                method="DELETE",
                path=_PLUGIN,
                name="removePlugin",
                summary="Take a plugin away; those that come with FlexCore stay",
                tag="plugins",
                handler=self._remove,
                answers={204: Content(None, "It is gone", media_type="")},
                problems=(404, 409, 429, 503),
            ),
        )

    async def _enable(self, call: Call[Any, None]) -> Answer:
        await self._commands.send(EnablePlugin(call.path["id"]), Request(call.correlation_id))
        return Answer(await self._plugins.get(call.path["id"]))

    async def _disable(self, call: Call[Any, None]) -> Answer:
        await self._commands.send(DisablePlugin(call.path["id"]), Request(call.correlation_id))
        return Answer(await self._plugins.get(call.path["id"]))

    async def _remove(self, call: Call[Any, None]) -> Answer:
        await self._commands.send(RemovePlugin(call.path["id"]), Request(call.correlation_id))
        return Answer(None, 204)
