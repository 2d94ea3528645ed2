"""Plugins of our own dialect: find, install, upgrade, switch and remove them, and see that they answer."""

from __future__ import annotations

from typing import Any, Union
from urllib.parse import quote

from .client import FlexCoreClient
from .errors import ClientError
from .http_message import Body
from .normalise import optional_text

PLUGINS = "/api/v1/flexcore/plugins"
MARKETPLACE = "/api/v1/flexcore/marketplace"
HEALTH = "health"
# Reading a package in, checking it and starting the plugin take the server longer than a usual answer.
INSTALL_SECONDS = 120.0

Source = Union[Body, "dict[str, Any]"]


def plugin_path(plugin_id: str) -> str:
    """Return where the plugin is on the server."""
    return f"{PLUGINS}/{quote(plugin_id, safe='')}"


class PluginCalls:
    """What can be done about plugins; every method raises ClientError."""

    def __init__(self, client: FlexCoreClient) -> None:
        self._client = client

    async def find(self, plugin_id: str) -> dict[str, Any] | None:
        """Return the installed plugin, None when there is none."""
        return await self._client.find(plugin_path(plugin_id))

    async def offered(self, plugin_id: str) -> list[str]:
        """Return the versions of a plugin that the marketplace has."""
        found: list[str] = []
        for item in await self._client.pages(MARKETPLACE, "plugins", {"query": plugin_id}):
            if isinstance(item, dict) and item.get("id") == plugin_id:
                entries = item.get("versions")
                for entry in entries if isinstance(entries, list) else ():
                    version = optional_text(entry.get("version") if isinstance(entry, dict) else entry)
                    found += [version] if version else []
        return found

    async def install(self, source: Source) -> dict[str, Any]:
        """Install a new plugin from a package or from the marketplace."""
        return await self._client.change("POST", PLUGINS, source, idempotent=True, total=INSTALL_SECONDS)

    async def upgrade(self, plugin_id: str, source: Source) -> dict[str, Any]:
        """Put another version in place of an installed one."""
        return await self._client.change("PUT", plugin_path(plugin_id), source, total=INSTALL_SECONDS)

    async def remove(self, plugin_id: str, cascade: bool) -> None:
        """Take a plugin away, with ``cascade`` also those that depend on it."""
        await self._client.change("DELETE", plugin_path(plugin_id), params={"cascade": "true"} if cascade else None)

    async def switch(self, plugin_id: str, on: bool) -> dict[str, Any]:
        """Enable or disable a plugin; one that is so already stays so."""
        verb = "enable" if on else "disable"
        return await self._client.change("POST", f"{plugin_path(plugin_id)}/{verb}", idempotent=True)

    async def answers(self, plugin_id: str, version: str | None) -> str | None:
        """Return why the plugin does not answer yet, None when it does: it is active and says that it is well."""
        found = await self.find(plugin_id)
        if found is None:
            return "it is not there"
        if found.get("status") != "active":
            return f"its status is {found.get('status')}"
        if version is not None and found.get("version") != version:
            return f"its version is still {found.get('version')}"
        try:
            said = await self._client.change(
                "POST", f"{plugin_path(plugin_id)}/execute", {"operation": HEALTH}, idempotent=True
            )
        except ClientError as error:
            # A plugin of before there was such an operation can't be asked more than whether it is active.
            return None if error.http_status == 400 else error.reason
        result = said.get("result")
        return None if isinstance(result, dict) and result.get("success") else "it says that it is not well"
