"""The lives of plugins, by command: register, enable, disable, replace, remove."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from flexcore.application.command_bus import CommandBus, CommandLog, Outcome, Request
from flexcore.application.commands import (
    DisablePlugin,
    EnablePlugin,
    FromMarketplace,
    RegisterPlugin,
    RemovePlugin,
    ReplacePlugin,
)
from flexcore.application.plugin_dependencies import dependents, plan
from flexcore.application.plugin_installation import PluginInstallation
from flexcore.application.plugin_registry import DECISION_ATTEMPTS, PluginRegistry, unsettled
from flexcore.application.plugin_sources import PackageSources, Source, Upload
from flexcore.application.ports import PluginCode
from flexcore.domain.errors import Conflict, InvalidInput, VersionConflict
from flexcore.domain.events import NewEvent
from flexcore.domain.plugin import Plugin, Release

CREATED: Final = "created"
"""Fact of an outcome: whether the plugin was not there before."""

Decide = Callable[[Plugin, int, Release], list[NewEvent]]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A version that is unpacked here and answers, and is not served yet."""

    release: Release
    code: PluginCode


class PluginLifecycle:
    """The commands that change what plugins there are."""

    def __init__(
        self, *, log: CommandLog, registry: PluginRegistry, installation: PluginInstallation, sources: PackageSources
    ) -> None:
        self._log = log
        self._registry = registry
        self._installation = installation
        self._sources = sources

    def register(self, bus: CommandBus) -> None:
        """Take the commands about plugins' lives."""
        bus.register(RegisterPlugin, self.add)
        bus.register(ReplacePlugin, self.replace)
        bus.register(EnablePlugin, self.enable)
        bus.register(DisablePlugin, self.disable)
        bus.register(RemovePlugin, self.remove)

    async def add(self, command: RegisterPlugin, request: Request) -> Outcome:
        """Register a plugin: an uploaded package, one from the marketplace, or one that came with FlexCore.

        Raises InvalidInput, NotFound, Conflict (another version is there), NotInstallable, Unavailable.
        """
        if command.source is None:
            # It was registered when its node started.
            plugin = await self._registry.find(command.plugin_id or "")
            return await self._log.record(request, plugin.id, [], facts={CREATED: False})
        async with self._opened(command.plugin_id, command.source) as source:
            return await self._bring(
                source,
                request,
                lambda plugin, version, release: plugin.install(release, request.metadata, version),
            )

    async def replace(self, command: ReplacePlugin, request: Request) -> Outcome:
        """Put another version in the place of the one that is there, which goes on serving if the new one fails.

        Raises InvalidInput, NotFound, Conflict (it comes with FlexCore), NotInstallable, Unavailable.
        """
        plugin = await self._registry.find(command.plugin_id)
        async with self._opened(plugin.id, command.source) as source:
            return await self._bring(
                source,
                request,
                lambda state, version, release: state.upgrade(release, request.metadata, version),
            )

    async def enable(self, command: EnablePlugin, request: Request) -> Outcome:
        """Let a plugin be executed; once is enough. Raises NotFound, Unavailable."""
        plugin = await self._registry.find(command.plugin_id)
        return await self._log.record(request, plugin.id, plugin.enable(request.metadata))

    async def disable(self, command: DisablePlugin, request: Request) -> Outcome:
        """Let a plugin no longer be executed; what runs goes on. Raises NotFound, Unavailable."""
        plugin = await self._registry.find(command.plugin_id)
        return await self._log.record(request, plugin.id, plugin.disable(request.metadata))

    async def remove(self, command: RemovePlugin, request: Request) -> Outcome:
        """Take a plugin away, with `cascade` also those that depend on it.

        Raises NotFound, Conflict (it comes with FlexCore, or others depend on it), Unavailable.
        """
        plugin = await self._registry.find(command.plugin_id)
        others = dependents(plugin.id, await self._registry.all())
        removal = plugin.remove(request.metadata)
        if others and not command.cascade:
            names = ", ".join(f"{other.id} {other.version}" for other in others)
            raise Conflict(f"plugin '{plugin.id}' is needed by {names}; remove those first, or all with cascade=true")
        events = [*(other.remove(request.metadata) for other in others), removal]
        outcome = await self._log.record(request, plugin.id, events)
        self._installation.tell()
        return outcome

    @asynccontextmanager
    async def _opened(self, plugin_id: str | None, where: Upload | FromMarketplace) -> AsyncIterator[Source]:
        if isinstance(where, FromMarketplace):
            async with self._sources.marketplace(plugin_id or "", where.version) as source:
                yield source
            return
        source = await self._sources.uploaded(where)
        if plugin_id not in (None, source.wanted.id):
            raise InvalidInput.field("package", f"holds plugin '{source.wanted.id}', not '{plugin_id}'")
        yield source

    async def _bring(self, source: Source, request: Request, decide: Decide) -> Outcome:
        """Install what `source` wants and what that depends on, and record all of it at once."""
        wanted = source.wanted
        got = await source.get(wanted)
        if not decide(*await self._registry.read(wanted.id), got.release):
            return await self._log.record(request, wanted.id, [], facts={CREATED: False})
        ready: list[_Ready] = []
        try:
            for offer in plan(wanted, await self._registry.all(), source.offers):
                each = await source.get(offer)
                ready.append(_Ready(each.release, await self._installation.prepare(each.package)))
            outcome = await self._record(source, ready, request, decide)
        except BaseException:
            await self._installation.abandon([each.code for each in ready])
            raise
        await self._installation.serve([each.code for each in ready])
        return outcome

    async def _record(self, source: Source, ready: Sequence[_Ready], request: Request, decide: Decide) -> Outcome:
        """Register what is ready, the wanted one last, unless somebody was quicker with something else."""
        *others, wanted = ready
        plugin_id = wanted.release.manifest.id
        prepared = {each.release.manifest.id for each in ready}
        for _ in range(DECISION_ATTEMPTS):
            if not {each.id for each in plan(source.wanted, await self._registry.all(), source.offers)} <= prepared:
                raise Conflict(f"plugins that '{plugin_id}' depends on were removed meanwhile; try again")
            events: list[NewEvent] = []
            for other in others:
                state, version = await self._registry.read(other.release.manifest.id)
                events += state.install(other.release, request.metadata, version)
            state, version = await self._registry.read(plugin_id)
            events += decide(state, version, wanted.release)
            try:
                return await self._log.record(request, plugin_id, events, facts={CREATED: not state.exists})
            except VersionConflict:
                continue
        raise unsettled(plugin_id)
