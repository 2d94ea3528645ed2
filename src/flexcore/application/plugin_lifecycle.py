"""Turns plugins on and off, by command."""

from flexcore.application.command_bus import CommandBus, CommandLog, Outcome, Request
from flexcore.application.commands import DisablePlugin, EnablePlugin, RegisterPlugin, RemovePlugin
from flexcore.application.plugins import Plugins
from flexcore.application.ports import PluginCodes
from flexcore.domain.errors import Conflict, NotFound
from flexcore.domain.identifiers import check_plugin_id


class PluginLifecycle:
    """The commands that change what plugins there are. Every plugin is one that came with FlexCore."""

    def __init__(self, *, log: CommandLog, plugins: Plugins, codes: PluginCodes) -> None:
        self._log = log
        self._plugins = plugins
        self._codes = codes

    def register(self, bus: CommandBus) -> None:
        """Take the commands about plugins' lives."""
        bus.register(RegisterPlugin, self.add)
        bus.register(EnablePlugin, self.enable)
        bus.register(DisablePlugin, self.disable)
        bus.register(RemovePlugin, self.remove)

    async def add(self, command: RegisterPlugin, request: Request) -> Outcome:
        """Record a plugin that this node brings along, which it did at its start; raises NotFound for any other."""
        check_plugin_id(command.plugin_id)
        if self._codes.find(command.plugin_id) is None:
            known = ", ".join(sorted(self._codes.all())) or "none"
            raise NotFound(f"this node does not bring along a plugin '{command.plugin_id}'; it brings along: {known}")
        await self._plugins.register_builtins()
        return await self._log.record(request, command.plugin_id, [])

    async def enable(self, command: EnablePlugin, request: Request) -> Outcome:
        """Let a plugin be executed; once is enough. Raises NotFound, Unavailable."""
        plugin = await self._plugins.find(command.plugin_id)
        return await self._log.record(request, plugin.id, plugin.enable(request.metadata))

    async def disable(self, command: DisablePlugin, request: Request) -> Outcome:
        """Let a plugin no longer be executed; what runs goes on. Raises NotFound, Unavailable."""
        plugin = await self._plugins.find(command.plugin_id)
        return await self._log.record(request, plugin.id, plugin.disable(request.metadata))

    async def remove(self, command: RemovePlugin, request: Request) -> Outcome:
        """Refuse: raises Conflict, or NotFound for a plugin that is not there."""
        plugin = await self._plugins.find(command.plugin_id)
        raise Conflict(f"plugin '{plugin.id}' comes with FlexCore and can't be removed; disable it instead")
