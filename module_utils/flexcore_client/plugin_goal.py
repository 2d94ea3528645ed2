"""What has to be done so that a plugin is as it is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .change import Change
from .errors import InputError
from .versions import ANY, Range, parse_range, parse_version, same_version

ABSENT = "absent"
STATES = ("present", ABSENT, "enabled", "disabled", "latest")
# The server's words; a plugin in error is enabled, but this node cannot run it.
ON, OFF = "active", "inactive"
SWITCHED_ON = (ON, "error")


@dataclass(frozen=True)
class PluginGoal:
    """How a plugin is wanted: ``packaged`` is the version in the package that is given, ``wanted`` a range."""

    plugin_id: str
    state: str
    packaged: str | None = None
    wanted: str | None = None

    def __post_init__(self) -> None:
        if self.state == "latest" and self.packaged is not None:
            raise InputError("state is latest and src is given: the package has one version; use state present")
        if self.packaged is not None and not self.range.allows(parse_version(self.packaged)):
            raise InputError(f"version is {self.wanted!r}, but the package in src has {self.packaged}")

    @property
    def range(self) -> Range:
        """The versions that are good enough."""
        return ANY if self.wanted is None else parse_range(self.wanted)

    def needs_marketplace(self, installed: Mapping[str, Any] | None) -> bool:
        """Whether it takes the marketplace to know what to do."""
        if self.state == ABSENT or self.packaged is not None:
            return False
        if installed is None or self.state == "latest":
            return installed is not None or self._may_install
        return not self._satisfied_by(str(installed.get("version")))

    def plan(self, installed: Mapping[str, Any] | None, offered: Sequence[str]) -> PluginPlan:
        """Compare what is there with what is wanted; raises InputError when it cannot be had."""
        before = {} if installed is None else _shown(self.plugin_id, installed.get("version"), installed.get("status"))
        if self.state == ABSENT:
            return PluginPlan(Change(before, {}), removes=installed is not None)
        current = None if installed is None else str(installed.get("version"))
        version = self._version(current, offered)
        status = ON if installed is None else installed.get("status")
        switch = None
        if self.state == "enabled" and status not in SWITCHED_ON:
            switch, status = True, ON
        elif self.state == "disabled" and status != OFF:
            switch, status = False, OFF
        moves = current is None or not same_version(current, version)
        return PluginPlan(
            Change(before, _shown(self.plugin_id, version if moves else current, status)),
            installs=version if installed is None else None,
            upgrades=version if installed is not None and moves else None,
            switches=switch,
        )

    def _version(self, current: str | None, offered: Sequence[str]) -> str:
        if self.packaged is not None:
            return self.packaged
        if current is None and not self._may_install:
            raise InputError(
                f"plugin {self.plugin_id} is not installed, so it cannot be {self.state}: "
                "give src or version to have it installed, or use state present"
            )
        if current is not None and self.state != "latest" and self._satisfied_by(current):
            return current
        newest = self.range.newest(offered)
        if newest is None:
            if current is not None and self._satisfied_by(current):
                return current
            if not offered:
                where = "the server's setting marketplace.source says where it looks"
                raise InputError(f"the marketplace has no plugin {self.plugin_id}; {where}")
            asked = f" within {self.wanted}" if self.wanted else ""
            there = ", ".join(offered)
            raise InputError(f"the marketplace has no version of {self.plugin_id}{asked}: it has {there}")
        if current is not None and self._satisfied_by(current) and parse_version(current) > parse_version(newest):
            # Newer than what is offered: the latest there is.
            return current
        return newest

    @property
    def _may_install(self) -> bool:
        return self.state in ("present", "latest") or self.wanted is not None

    def _satisfied_by(self, version: str) -> bool:
        try:
            return self.range.allows(parse_version(version))
        except InputError:
            return self.wanted is None


@dataclass(frozen=True)
class PluginPlan:
    """The steps to take, in this order, and the change they make together."""

    change: Change
    removes: bool = False
    installs: str | None = None
    upgrades: str | None = None
    switches: bool | None = None


def _shown(plugin_id: str, version: Any, status: Any) -> dict[str, Any]:
    return {"id": plugin_id, "version": version, "status": status}
