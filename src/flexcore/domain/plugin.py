"""The aggregate Plugin: its lifecycle as its events tell it, and the decisions that depend on it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from flexcore.domain.errors import Conflict
from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, PluginEvent, RecordedEvent
from flexcore.domain.manifest import PluginManifest


class PluginStatus(StrEnum):
    """`error` is a plugin that is enabled but can't run on the node asked, which lacks its code."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ERROR = "error"


@dataclass(slots=True)
class Plugin:
    """One plugin as its lifecycle events left it. `registered` holds every version that was ever registered."""

    id: str
    name: str = ""
    version: str = ""
    type: str = ""
    description: str = ""
    entry_point: str = ""
    capabilities: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    enabled: bool = False
    removed: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    registered: set[str] = field(default_factory=set)

    @classmethod
    def replay(cls, plugin_id: str, events: Iterable[RecordedEvent]) -> Self:
        """Rebuild the plugin from its lifecycle `events`, oldest first; without any it is not registered."""
        plugin = cls(plugin_id)
        for event in events:
            plugin._apply(event)
        return plugin

    @property
    def exists(self) -> bool:
        """Whether it was registered and not removed since."""
        return bool(self.registered) and not self.removed

    def register(self, manifest: PluginManifest, metadata: Mapping[str, Any], stream_version: int) -> NewEvent | None:
        """Give the event that registers this version, or None if that happened before (on any node, at any time).

        `stream_version` is the stream's when the plugin was read: another node that registers meanwhile wins.
        """
        if manifest.version in self.registered:
            return None
        data = {
            "name": manifest.name,
            "version": manifest.version,
            "type": manifest.type,
            "description": manifest.description,
            "entry_point": manifest.starts,
            "capabilities": list(manifest.capabilities),
            "dependencies": list(manifest.dependencies),
        }
        return NewEvent(PluginEvent.REGISTERED, self.id, PLUGIN_AGGREGATE, data, metadata, stream_version)

    def enable(self, metadata: Mapping[str, Any]) -> list[NewEvent]:
        """Give the event that lets the plugin be executed, none if it may be already."""
        return [] if self.enabled else [self._event(PluginEvent.ENABLED, metadata)]

    def disable(self, metadata: Mapping[str, Any]) -> list[NewEvent]:
        """Give the event that stops the plugin from being executed, none if it is stopped already."""
        return [self._event(PluginEvent.DISABLED, metadata)] if self.enabled else []

    def check_executable(self) -> None:
        """Raise Conflict unless the plugin takes executions."""
        if not self.enabled:
            raise Conflict(f"plugin '{self.id}' is inactive; enable it before executing it")

    def _event(self, event_type: PluginEvent, metadata: Mapping[str, Any]) -> NewEvent:
        # No expected version: executions move the stream all the time, and to say it twice changes nothing.
        return NewEvent(event_type, self.id, PLUGIN_AGGREGATE, {}, metadata)

    def _apply(self, event: RecordedEvent) -> None:
        match event.type:
            case PluginEvent.REGISTERED | PluginEvent.UPGRADED:
                self._take(event)
            case PluginEvent.ENABLED:
                self.enabled = True
            case PluginEvent.DISABLED:
                self.enabled = False
            case PluginEvent.REMOVED:
                self.removed, self.enabled = True, False
            case _:
                return
        self.updated_at = event.timestamp

    def _take(self, event: RecordedEvent) -> None:
        if not self.exists:
            self.created_at = event.timestamp
            self.enabled, self.removed = True, False
        data = event.data
        self.name = data["name"]
        self.version = data["version"]
        self.type = data["type"]
        self.description = data["description"]
        self.entry_point = data["entry_point"]
        self.capabilities = tuple(data["capabilities"])
        self.dependencies = tuple(data["dependencies"])
        self.registered.add(self.version)
