"""Which plugins there are, as the event log tells it; and the ones a node brings along, put into it."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from flexcore.application.events import Events
from flexcore.application.ports import NewId, PluginCode, PluginHistory
from flexcore.application.shared_reads import SharedReads
from flexcore.domain.errors import NotFound, Unavailable, VersionConflict
from flexcore.domain.events import RecordedEvent
from flexcore.domain.identifiers import check_plugin_id
from flexcore.domain.manifest import PluginManifest
from flexcore.domain.plugin import Plugin

# Another node can append to the same stream between our read and our append, but hardly this often in a row.
DECISION_ATTEMPTS: Final = 20

_log = logging.getLogger("flexcore.plugins")


class PluginRegistry:
    """The plugins of the whole installation, so that all nodes agree. `builtins` are those this node brings along."""

    def __init__(
        self,
        *,
        events: Events,
        history: PluginHistory,
        builtins: Callable[[], Mapping[str, PluginCode]],
        new_id: NewId,
        node_id: str,
    ) -> None:
        self._events = events
        self._history = history
        self._builtins = builtins
        self._new_id = new_id
        self._node_id = node_id
        self._registered = False
        self._registering = asyncio.Lock()
        self._reads = SharedReads(self._replayed)

    async def register_builtins(self) -> None:
        """Record each plugin this node brings along, once per version over all nodes and restarts.

        Everything else here does it first if it has not succeeded yet, so a database that was away at the start needs
        no further care. Raises Unavailable.
        """
        if self._registered:
            return
        async with self._registering:
            if self._registered:  # whoever waited here finds it done
                return
            for code in self._builtins().values():
                await self._register(code.manifest)
            self._registered = True

    async def find(self, plugin_id: str) -> Plugin:
        """Read a plugin as it is now; raises InvalidInput for what is no id, NotFound, Unavailable."""
        check_plugin_id(plugin_id)
        await self.register_builtins()
        plugin = await self._reads.of(plugin_id)
        if not plugin.exists:
            raise NotFound(f"there is no plugin '{plugin_id}'; GET /api/v1/flexcore/plugins lists those there are")
        return plugin

    async def read(self, plugin_id: str) -> tuple[Plugin, int]:
        """Read a plugin, whether it exists or not, and the version of its stream; raises InvalidInput, Unavailable."""
        check_plugin_id(plugin_id)
        await self.register_builtins()
        # First, so that what is decided on an older state than that of the version can't be recorded.
        version = await self._history.stream_version(plugin_id)
        return await self._replayed(plugin_id), version

    async def all(self) -> list[Plugin]:
        """Read those that exist, ordered by id; raises Unavailable."""
        await self.register_builtins()
        return _replay(await self._history.lifecycle())

    async def _register(self, manifest: PluginManifest) -> None:
        plugin_id = manifest.id
        metadata = {"correlation_id": self._new_id(), "node_id": self._node_id}
        for _ in range(DECISION_ATTEMPTS):
            version = await self._history.stream_version(plugin_id)
            plugin = await self._replayed(plugin_id)
            event = plugin.register(manifest, metadata, version)
            if event is None:
                return
            try:
                await self._events.append([event])
            except VersionConflict:
                continue
            _log.info("registered plugin %s %s", plugin_id, manifest.version)
            return
        raise unsettled(plugin_id)

    async def _replayed(self, plugin_id: str) -> Plugin:
        return Plugin.replay(plugin_id, await self._history.lifecycle(plugin_id))


def unsettled(plugin_id: str) -> Unavailable:
    """Say that others kept changing a plugin's stream for as long as we tried to."""
    return Unavailable("event_store", f"plugin '{plugin_id}' can't be changed: its stream does not come to rest")


def _replay(events: Iterable[RecordedEvent]) -> list[Plugin]:
    streams: defaultdict[str, list[RecordedEvent]] = defaultdict(list)
    for event in events:
        streams[event.aggregate_id].append(event)
    plugins = (Plugin.replay(plugin_id, stream) for plugin_id, stream in sorted(streams.items()))
    return [plugin for plugin in plugins if plugin.exists]
