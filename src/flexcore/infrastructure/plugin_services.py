"""Everything about which plugins there are and how they get here, joined."""

import asyncio
import contextlib
import logging
import tempfile
from pathlib import Path
from typing import Final

from flexcore.application.background import Background
from flexcore.application.command_bus import CommandBus, CommandLog
from flexcore.application.events import Events
from flexcore.application.marketplace import MarketplaceDesk
from flexcore.application.package_trust import Keyring, PackageTrust
from flexcore.application.plugin_codes import NodePlugins
from flexcore.application.plugin_installation import PluginInstallation
from flexcore.application.plugin_lifecycle import PluginLifecycle
from flexcore.application.plugin_registry import PluginRegistry
from flexcore.application.plugin_sources import PackageSources
from flexcore.application.ports import LiveChannel, NewId, PluginCodes, PluginRunner
from flexcore.domain.errors import FlexCoreError, Unavailable
from flexcore.infrastructure.marketplace.sources import open_marketplace
from flexcore.infrastructure.packages.shelf import DirectoryShelf
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.plugin_history import PostgresPluginHistory
from flexcore.infrastructure.postgres.plugin_packages import PostgresPackageStore

RETRY_SECONDS: Final = 10.0

_log = logging.getLogger("flexcore.plugins")


class PluginServices:
    """The plugins of the installation, and the packages of this node.

    Without a `directory` they lie in a temporary one, which is gone with the process.
    """

    def __init__(
        self,
        *,
        database: Database,
        events: Events,
        builtins: PluginCodes,
        directory: Path | None,
        max_package_bytes: int,
        marketplace: str | None,
        keys: Keyring,
        require_signature: bool,
        allow_unsigned: bool,
        new_id: NewId,
        node_id: str,
    ) -> None:
        self._temporary = None if directory is not None else tempfile.TemporaryDirectory(prefix="flexcore-plugins-")
        self._shelf = DirectoryShelf(directory or Path(self._temporary.name if self._temporary else ""))
        self._database = database
        self._new_id = new_id
        self._background = Background()
        self._trust = PackageTrust(keys, require_signature=require_signature, allow_unsigned=allow_unsigned)
        self._marketplace = open_marketplace(marketplace, max_package_bytes)
        self.codes = NodePlugins(builtins)
        self.registry = PluginRegistry(
            events=events,
            history=PostgresPluginHistory(database),
            builtins=self.codes.builtins,
            new_id=new_id,
            node_id=node_id,
        )
        self.desk = MarketplaceDesk(self._marketplace, self.registry, self._trust)

    @property
    def incoming(self) -> Path:
        """Where packages are written to while they are sent."""
        return self._shelf.incoming

    def join(self, *, runner: PluginRunner, channel: LiveChannel, log: CommandLog, commands: CommandBus) -> None:
        """Join the use cases with the rest of the node."""
        self._installation = PluginInstallation(
            registry=self.registry,
            codes=self.codes,
            shelf=self._shelf,
            store=PostgresPackageStore(self._database),
            runner=runner,
            channel=channel,
            new_id=self._new_id,
        )
        sources = PackageSources(self._shelf, self._marketplace, self._trust)
        PluginLifecycle(log=log, registry=self.registry, installation=self._installation, sources=sources).register(
            commands
        )

    async def start(self) -> None:
        """Serve what is installed here, and begin to follow the log.

        What is not possible yet, without the database or the directory of plugins, is done as soon as it is.
        """
        ready = await self._opened()
        with contextlib.suppress(FlexCoreError):
            await self.registry.register_builtins()
            if ready:
                await self._installation.load()
        self._background.run("installation of plugins", self._follow if not ready else self._installation.follow)

    async def _follow(self) -> None:
        while True:
            if await self._opened():
                await self._installation.follow()
            await asyncio.sleep(RETRY_SECONDS)

    async def _opened(self) -> bool:
        try:
            await self._shelf.start()
        except Unavailable as error:
            _log.error("no plugin can be installed on this node: %s (plugins.directory)", error)
            return False
        return True

    async def close(self) -> None:
        """Stop following."""
        await self._background.close()
        if self._temporary is not None:
            self._temporary.cleanup()
