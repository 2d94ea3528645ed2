"""Packages on this node: brought here, tried out, served; and whatever the event log says, followed.

Installing writes files and starts the plugin once, so it can fail where an event can't. Therefore the event that
registers or replaces a version is recorded after one node has the version and it answered its health operation there;
the others follow the log. A node that dies in between leaves files that nobody wants, which it removes at its start.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from flexcore.application.background import wait_at_most
from flexcore.application.plugin_codes import NodePlugins
from flexcore.application.plugin_packages import PackageFile, PackageShelf, PackageStore
from flexcore.application.plugin_registry import PluginRegistry
from flexcore.application.ports import LiveChannel, NewId, PluginCode, PluginRequest, PluginRunner
from flexcore.domain.errors import ExecutionFailure, FlexCoreError, NotInstallable, TooBusy, Unavailable
from flexcore.domain.manifest import HEALTH
from flexcore.domain.plugin import Plugin

CHANGED: Final = "plugins"
"""Kind of the live messages that tell of a change among the plugins."""

HEALTH_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 30.0
# No execution takes longer, so after it nobody uses the files of a version that is not begun any more.
LONGEST_EXECUTION_SECONDS: Final = 330.0

_log = logging.getLogger("flexcore.plugins")


class PluginInstallation:
    """The packages of this node."""

    def __init__(
        self,
        *,
        registry: PluginRegistry,
        codes: NodePlugins,
        shelf: PackageShelf,
        store: PackageStore,
        runner: PluginRunner,
        channel: LiveChannel,
        new_id: NewId,
    ) -> None:
        self._registry = registry
        self._codes = codes
        self._shelf = shelf
        self._store = store
        self._runner = runner
        self._channel = channel
        self._new_id = new_id
        self._changed = asyncio.Event()
        # Nothing is removed while something is about to be served.
        self._installing = asyncio.Lock()
        self._prepared: dict[str, PluginCode] = {}
        self._retired: dict[str, tuple[PluginCode, float]] = {}
        self._tried: dict[str, tuple[str, float]] = {}
        channel.subscribe(CHANGED, lambda message: self._changed.set())

    async def prepare(self, package: PackageFile) -> PluginCode:
        """Put a package where all nodes find it, unpack it here, and have it answer its health operation.

        It is not served yet. Raises InvalidInput, NotInstallable, Unavailable.
        """
        await self._store.put(package)
        async with self._installing:
            code = await self._shelf.unpack(package)
            self._prepared[code.digest] = code
        try:
            await self._try_out(code)
        except BaseException:
            await self.abandon([code])
            raise
        return code

    async def abandon(self, codes: Iterable[PluginCode]) -> None:
        """Let go of what was prepared and is not to be served."""
        for code in codes:
            self._prepared.pop(code.digest, None)
            current = self._codes.find(code.manifest.id)
            if current is None or current.digest != code.digest:
                await self._retire(code)

    async def serve(self, codes: Iterable[PluginCode]) -> None:
        """Run what was prepared from now on, and tell the other nodes."""
        for code in codes:
            self._prepared.pop(code.digest, None)
            await self._switch(code)
        self.tell()

    def tell(self) -> None:
        """Have every node look at once for what changed."""
        self._channel.publish(CHANGED)

    async def load(self) -> None:
        """Serve what was installed before this node started; raises Unavailable."""
        for plugin in await self._packaged():
            code = await self._shelf.find(plugin.id, plugin.digest)
            if code is not None:
                self._codes.serve(code)

    async def follow(self) -> None:
        """Do what the event log says, for ever."""
        while True:
            with suppress(Unavailable, TooBusy):
                await self.look()
            await wait_at_most(self._changed, LOOK_SECONDS)

    async def look(self) -> None:
        """Install what lacks and let go of what is gone; raises Unavailable, and then what was done is done."""
        wanted = {plugin.id: plugin for plugin in await self._packaged()}
        for plugin in wanted.values():
            current = self._codes.installed().get(plugin.id)
            if (current is None or current.digest != plugin.digest) and self._due(plugin):
                await self._bring(plugin)
        for plugin_id in self._codes.installed().keys() - wanted.keys():
            if (code := self._codes.drop(plugin_id)) is not None:
                _log.info("plugin %s %s was removed", plugin_id, code.manifest.version)
                await self._retire(code)
        async with self._installing:
            now = time.monotonic()
            self._retired = {key: item for key, item in self._retired.items() if item[1] > now}
            retired = (code for code, _ in self._retired.values())
            await self._shelf.clean([*self._codes.installed().values(), *self._prepared.values(), *retired])

    async def _packaged(self) -> list[Plugin]:
        return [plugin for plugin in await self._registry.all() if plugin.digest]

    def _due(self, plugin: Plugin) -> bool:
        digest, again = self._tried.get(plugin.id, ("", 0.0))
        return digest != plugin.digest or time.monotonic() >= again

    async def _bring(self, plugin: Plugin) -> None:
        """Install a version that another node registered. Until it answers, the one before goes on serving."""
        try:
            code = await self._fetched(plugin)
            await self._try_out(code)
        except Unavailable:
            raise
        except FlexCoreError as error:
            self._tried[plugin.id] = plugin.digest, time.monotonic() + RETRY_SECONDS
            _log.error("plugin %s %s can't run on this node: %s", plugin.id, plugin.version, error)
            if (before := self._codes.drop(plugin.id, failure=str(error))) is not None:
                await self._retire(before)
        else:
            self._tried.pop(plugin.id, None)
            await self._switch(code)

    async def _fetched(self, plugin: Plugin) -> PluginCode:
        found = await self._shelf.find(plugin.id, plugin.digest)
        if found is not None:
            return found
        async with self._shelf.scratch() as directory:
            path = Path(directory, "package")
            await self._store.fetch(plugin.digest, path)
            package = await self._shelf.read(path)
            async with self._installing:
                return await self._shelf.unpack(package)

    async def _try_out(self, code: PluginCode) -> None:
        manifest = code.manifest
        request = PluginRequest(self._new_id(), code, HEALTH, {}, HEALTH_SECONDS, self._new_id())
        try:
            await self._runner.warm(code)
            result = await self._runner.run(request)
        except ExecutionFailure as error:
            why = str(error)
        else:
            if result.success:
                return
            complaint = result.data.get("error") if isinstance(result.data, dict) else None
            why = complaint if isinstance(complaint, str) else "it says that it does not work"
        raise NotInstallable(
            f"plugin '{manifest.id}' {manifest.version} does not answer its health operation: {why[:1000]}"
        )

    async def _switch(self, code: PluginCode) -> None:
        before = self._codes.serve(code)
        self._retired.pop(code.digest, None)
        if before is not None and before.digest != code.digest:
            await self._retire(before)
        _log.info("plugin %s %s is served by this node", code.manifest.id, code.manifest.version)

    async def _retire(self, code: PluginCode) -> None:
        self._retired[code.digest] = code, time.monotonic() + LONGEST_EXECUTION_SECONDS
        await self._runner.retire(code)
