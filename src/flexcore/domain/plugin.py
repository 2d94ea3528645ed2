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


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a plugin, with where it came from.

    `digest` is the SHA-256 of its package; `source` is "upload" or "marketplace"; `signed_by` names the trusted key
    that signed it.
    """

    manifest: PluginManifest
    digest: str
    source: str
    signed_by: str | None = None


@dataclass(slots=True)
class Plugin:
    """One plugin as its lifecycle events left it.

    `registered` holds every version that was ever registered. `digest` is that of its package, empty for a plugin that
    comes with FlexCore; `requires` are the version ranges of the plugins it depends on.
    """

    id: str
    name: str = ""
    version: str = ""
    type: str = ""
    description: str = ""
    entry_point: str = ""
    capabilities: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    requires: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
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

    @property
    def builtin(self) -> bool:
        """Whether it comes with FlexCore."""
        return self.exists and not self.digest

    def register(self, manifest: PluginManifest, metadata: Mapping[str, Any], stream_version: int) -> NewEvent | None:
        """Give the event that registers a version that comes with FlexCore, or None if that happened before.

        `stream_version` is the stream's when the plugin was read: another node that registers meanwhile wins.
        """
        if manifest.version in self.registered:
            return None
        return self._event(PluginEvent.REGISTERED, metadata, _described(manifest), stream_version)

    def install(self, release: Release, metadata: Mapping[str, Any], stream_version: int) -> list[NewEvent]:
        """Give the event that registers a package, none if just this one is registered.

        Raises Conflict for another one.
        """
        if not self.exists:
            return [self._event(PluginEvent.REGISTERED, metadata, _of(release), stream_version)]
        self._check_changeable("is there already")
        version = release.manifest.version
        if version != self.version:
            raise Conflict(
                f"plugin '{self.id}' is installed as version {self.version}, and this is version {version}; "
                f"PUT /api/v1/flexcore/plugins/{self.id} replaces one by the other"
            )
        if release.digest != self.digest:
            raise Conflict(
                f"plugin '{self.id}' is installed as version {version} from another package of the same version; "
                "give the new one a new version"
            )
        return []

    def upgrade(self, release: Release, metadata: Mapping[str, Any], stream_version: int) -> list[NewEvent]:
        """Give the event that replaces the version by another one, none if it is this one already; raises Conflict."""
        self._check_changeable("can't be replaced")
        if release.digest == self.digest:
            return []
        data = {**_of(release), "previous_version": self.version}
        return [self._event(PluginEvent.UPGRADED, metadata, data, stream_version)]

    def remove(self, metadata: Mapping[str, Any]) -> NewEvent:
        """Give the event that takes the plugin away; raises Conflict for one that comes with FlexCore."""
        self._check_changeable("can't be removed; disable it instead")
        return self._event(PluginEvent.REMOVED, metadata)

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

    def _check_changeable(self, what: str) -> None:
        if self.builtin:
            raise Conflict(f"plugin '{self.id}' comes with FlexCore and {what}")

    def _event(
        self,
        event_type: PluginEvent,
        metadata: Mapping[str, Any],
        data: Mapping[str, Any] | None = None,
        stream_version: int | None = None,
    ) -> NewEvent:
        # Mostly no expected version: executions move the stream all the time, and to say it twice changes nothing.
        return NewEvent(event_type, self.id, PLUGIN_AGGREGATE, data or {}, metadata, stream_version)

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
        # Releases before plugins came as packages recorded neither.
        self.requires = data.get("requires", {})
        self.digest = data.get("digest", "")
        self.registered.add(self.version)


def _described(manifest: PluginManifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "version": manifest.version,
        "type": manifest.type,
        "description": manifest.description,
        "entry_point": manifest.starts,
        "capabilities": list(manifest.capabilities),
        "dependencies": list(manifest.dependencies),
    }


def _of(release: Release) -> dict[str, Any]:
    return {
        **_described(release.manifest),
        "requires": dict(release.manifest.dependencies),
        "digest": release.digest,
        "source": release.source,
        "signed_by": release.signed_by,
    }
