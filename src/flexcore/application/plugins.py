"""The plugins' use cases: list, inspect, execute, drain."""

import time
from typing import Final

from flexcore.application.executions import Executions
from flexcore.application.paging import check_page
from flexcore.application.plugin_codes import NodePlugins
from flexcore.application.plugin_registry import PluginRegistry
from flexcore.application.plugin_views import (
    ExecutePlugin,
    Execution,
    PluginCommandsView,
    PluginMetrics,
    PluginPage,
    PluginStatusView,
    PluginView,
    health_of,
)
from flexcore.application.ports import NewId, PluginRequest, PluginRunner
from flexcore.application.read_models.plugin_inventory import PluginInventory
from flexcore.domain.errors import Conflict, InvalidInput, Unavailable
from flexcore.domain.manifest import ParameterRules, PluginManifest
from flexcore.domain.plugin import Plugin, PluginStatus

MIN_TIMEOUT_SECONDS = 1


class Plugins:
    """The plugins of the whole installation, run on this node.

    What exists and what was executed comes from the event log, so all nodes agree; slots, drain and resource usage
    are this node's own.
    """

    def __init__(
        self,
        *,
        registry: PluginRegistry,
        inventory: PluginInventory,
        runner: PluginRunner,
        codes: NodePlugins,
        rules: ParameterRules,
        executions: Executions,
        new_id: NewId,
        node_id: str,
        max_timeout_seconds: int,
    ) -> None:
        self._registry = registry
        self._inventory = inventory
        self._runner = runner
        self._codes = codes
        self.rules: Final = rules
        self._executions = executions
        self._new_id = new_id
        self._node_id = node_id
        self._max_timeout_seconds = max_timeout_seconds
        self._offered_since = time.monotonic()

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
        """Record each plugin this node brings along; whatever else is asked here does it first. Raises Unavailable."""
        await self._registry.register_builtins()

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
        found = [
            plugin
            for plugin in await self._registry.all()
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
            raise Conflict(self._missing(plugin.id))
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

    async def commands(self, plugin_id: str) -> PluginCommandsView:
        """Say what a plugin can do; raises InvalidInput, NotFound, Conflict (its code is not here), Unavailable."""
        plugin = await self.find(plugin_id)
        code = self._codes.find(plugin.id)
        if code is None:
            raise Conflict(self._missing(plugin.id))
        return PluginCommandsView.of(code.manifest)

    def check_code(self, plugin_id: str) -> None:
        """Raise Unavailable if this node lacks a plugin's code, which another may have."""
        if self._codes.find(plugin_id) is None:
            raise Unavailable("flexcore", self._missing(plugin_id))

    async def manifests(self) -> dict[str, PluginManifest]:
        """Return those of the registered plugins that this node has the code of, by id; raises Unavailable."""
        registered = {plugin.id for plugin in await self._registry.all()}
        return {plugin_id: code.manifest for plugin_id, code in self._codes.all().items() if plugin_id in registered}

    async def find(self, plugin_id: str) -> Plugin:
        """Read a plugin as it is now; raises InvalidInput for what is no id, NotFound, Unavailable."""
        return await self._registry.find(plugin_id)

    def _missing(self, plugin_id: str) -> str:
        why = self._codes.failure(plugin_id)
        lacks = f"plugin '{plugin_id}' can't run on node {self._node_id}, which lacks its code"
        return f"{lacks}: {why}" if why else lacks

    async def _views(self, plugins: list[Plugin]) -> tuple[PluginView, ...]:
        statistics = await self._inventory.statistics([plugin.id for plugin in plugins])
        return tuple(PluginView.of(plugin, self._status(plugin), statistics[plugin.id]) for plugin in plugins)

    def _status(self, plugin: Plugin) -> PluginStatus:
        if not plugin.enabled:
            return PluginStatus.INACTIVE
        return PluginStatus.ACTIVE if self._codes.find(plugin.id) else PluginStatus.ERROR
