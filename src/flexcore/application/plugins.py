"""The plugins' use cases: register the built-in ones, list, inspect, execute, drain."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from flexcore.application.events import Events
from flexcore.application.executions import Executions
from flexcore.application.paging import check_page
from flexcore.application.plugin_views import (
    ExecutePlugin,
    Execution,
    PluginMetrics,
    PluginPage,
    PluginStatusView,
    PluginView,
    health_of,
)
from flexcore.application.ports import NewId, PluginCodes, PluginHistory, PluginRequest, PluginRunner
from flexcore.application.read_models.plugin_inventory import PluginInventory
from flexcore.domain.errors import Conflict, InvalidInput, NotFound, Unavailable, VersionConflict
from flexcore.domain.events import RecordedEvent
from flexcore.domain.identifiers import check_plugin_id
from flexcore.domain.manifest import ParameterRules, PluginManifest
from flexcore.domain.plugin import Plugin, PluginStatus

MIN_TIMEOUT_SECONDS = 1
# Another node can append to the same stream between our read and our append, but hardly this often in a row.
REGISTRATION_ATTEMPTS = 20

_log = logging.getLogger("flexcore.plugins")


class Plugins:
    """The plugins of the whole installation, run on this node.

    What exists and what was executed comes from the event log, so all nodes agree; slots, drain and resource usage
    are this node's own.
    """

    def __init__(
        self,
        *,
        events: Events,
        history: PluginHistory,
        inventory: PluginInventory,
        runner: PluginRunner,
        codes: PluginCodes,
        rules: ParameterRules,
        executions: Executions,
        new_id: NewId,
        node_id: str,
        max_timeout_seconds: int,
    ) -> None:
        self._events = events
        self._history = history
        self._inventory = inventory
        self._runner = runner
        self._codes = codes
        self.rules: Final = rules
        self._executions = executions
        self._new_id = new_id
        self._node_id = node_id
        self._max_timeout_seconds = max_timeout_seconds
        self._offered_since = time.monotonic()
        self._registered = False
        self._registering = asyncio.Lock()

    @property
    def active_executions(self) -> int:
        """How many executions run on this node now."""
        return self._executions.admission.active

    @property
    def slots(self) -> int:
        """How many executions this node runs at most at once."""
        return self._executions.admission.slots

    @property
    def draining(self) -> bool:
        """Whether this node refuses new executions."""
        return self._executions.admission.draining

    async def drain(self, deadline_seconds: float) -> bool:
        """Refuse new executions and wait for the running ones; False if some still ran at the deadline."""
        return await self._executions.admission.drain(deadline_seconds)

    async def register_builtins(self) -> None:
        """Record each plugin this node brings along, once per version over all nodes and restarts.

        Every other use case does it first if it has not succeeded yet, so a database that was away at the start
        needs no further care. Raises Unavailable.
        """
        if self._registered:
            return
        async with self._registering:
            for code in self._codes.all().values():
                await self._register(code.manifest)
            self._registered = True

    async def page(
        self,
        *,
        status: str | None = None,
        type: str | None = None,  # noqa: A002 - the name of the query parameter
        limit: int = 50,
        offset: int = 0,
    ) -> PluginPage:
        """Plugins ordered by id, filtered by `status` and `type`; raises InvalidInput, Unavailable."""
        check_page(status, PluginStatus, limit, offset)
        await self.register_builtins()
        found = [
            plugin
            for plugin in _replay(await self._history.lifecycle())
            if status in (None, self._status(plugin)) and type in (None, plugin.type)
        ]
        views = await self._views(found[offset : offset + limit])
        return PluginPage(views, total=len(found), limit=limit, offset=offset)

    async def get(self, plugin_id: str) -> PluginView:
        """One plugin; raises NotFound, Unavailable."""
        (view,) = await self._views([await self.find(plugin_id)])
        return view

    async def status(self, plugin_id: str) -> PluginStatusView:
        """How one plugin fares; raises NotFound, Unavailable."""
        plugin = await self.find(plugin_id)
        statistics = (await self._inventory.statistics([plugin.id]))[plugin.id]
        status = self._status(plugin)
        return PluginStatusView(
            id=plugin.id,
            name=plugin.name,
            status=status,
            health_status=health_of(status, statistics),
            metrics=PluginMetrics(
                total_executions=statistics.total,
                successful_executions=statistics.successful,
                failed_executions=statistics.failed,
                average_duration_ms=statistics.average_duration_ms,
                average_cpu_ms=statistics.average_cpu_ms,
                peak_memory_bytes=statistics.peak_memory_bytes,
                last_execution=statistics.last_execution,
                uptime_seconds=int(time.monotonic() - self._offered_since),
            ),
            resource_usage=self._runner.usage(plugin.id),
        )

    async def execute(self, command: ExecutePlugin) -> Execution:
        """Run one operation to its end and record it in the event log.

        Raises InvalidInput, NotFound, Conflict (not active), TooBusy (no slot), Unavailable (draining, or the event
        log does not answer), PluginFailed, ExecutionTimedOut. Cancelling it kills the plugin.
        """
        return await self._executions.run(await self.prepare(command), command.user_id)

    async def prepare(self, command: ExecutePlugin, execution_id: str | None = None) -> PluginRequest:
        """Check that this node can run a command, and give it an execution id unless it has one.

        Raises InvalidInput, NotFound, Conflict (not active, or its code is not here), Unavailable.
        """
        if not MIN_TIMEOUT_SECONDS <= command.timeout_seconds <= self._max_timeout_seconds:
            raise InvalidInput.field(
                "parameters.timeout_seconds", f"must be {MIN_TIMEOUT_SECONDS} to {self._max_timeout_seconds}"
            )
        plugin = await self.find(command.plugin_id)
        plugin.check_executable()
        code = self._codes.find(plugin.id)
        if code is None:
            raise Conflict(f"plugin '{plugin.id}' can't run on node {self._node_id}, which lacks its code")
        operation = code.manifest.command(command.operation)
        operation.check(command.data, self.rules, field_name="parameters.data")
        return PluginRequest(
            execution_id=execution_id or self._new_id(),
            code=code,
            operation=operation.name,
            data=command.data,
            timeout_seconds=command.timeout_seconds,
            correlation_id=command.correlation_id,
        )

    def check_code(self, plugin_id: str) -> None:
        """Raise Unavailable if this node lacks a plugin's code, which another may have."""
        if self._codes.find(plugin_id) is None:
            raise Unavailable(
                "flexcore", f"plugin '{plugin_id}' can't run on node {self._node_id}, which lacks its code"
            )

    async def manifests(self) -> dict[str, PluginManifest]:
        """Return those of the registered plugins that this node has the code of, by id; raises Unavailable."""
        await self.register_builtins()
        registered = {plugin.id for plugin in _replay(await self._history.lifecycle())}
        return {plugin_id: code.manifest for plugin_id, code in self._codes.all().items() if plugin_id in registered}

    async def _register(self, manifest: PluginManifest) -> None:
        plugin_id = manifest.id
        metadata = {"correlation_id": self._new_id(), "node_id": self._node_id}
        for _ in range(REGISTRATION_ATTEMPTS):
            version = await self._history.stream_version(plugin_id)
            plugin = Plugin.replay(plugin_id, await self._history.lifecycle(plugin_id))
            event = plugin.register(manifest, metadata, version)
            if event is None:
                return
            try:
                await self._events.append([event])
            except VersionConflict:
                continue
            _log.info("registered plugin %s %s", plugin_id, manifest.version)
            return
        raise Unavailable("event_store", f"plugin '{plugin_id}' can't be registered: its stream does not come to rest")

    async def find(self, plugin_id: str) -> Plugin:
        """Read a plugin as it is now; raises InvalidInput for what is no id, NotFound, Unavailable."""
        check_plugin_id(plugin_id)
        await self.register_builtins()
        plugin = Plugin.replay(plugin_id, await self._history.lifecycle(plugin_id))
        if not plugin.exists:
            raise NotFound(f"there is no plugin '{plugin_id}'; GET /api/v1/flexcore/plugins lists those there are")
        return plugin

    async def _views(self, plugins: list[Plugin]) -> tuple[PluginView, ...]:
        statistics = await self._inventory.statistics([plugin.id for plugin in plugins])
        return tuple(PluginView.of(plugin, self._status(plugin), statistics[plugin.id]) for plugin in plugins)

    def _status(self, plugin: Plugin) -> PluginStatus:
        if not plugin.enabled:
            return PluginStatus.INACTIVE
        return PluginStatus.ACTIVE if self._codes.find(plugin.id) else PluginStatus.ERROR


def _replay(events: Iterable[RecordedEvent]) -> list[Plugin]:
    """Rebuild the plugins that exist, ordered by id."""
    streams: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
    for event in events:
        streams[event.aggregate_id].append(event)
    plugins = (Plugin.replay(plugin_id, stream) for plugin_id, stream in sorted(streams.items()))
    return [plugin for plugin in plugins if plugin.exists]
