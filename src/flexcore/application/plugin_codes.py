"""Which version of each plugin this node runs now."""

from collections.abc import Mapping

from flexcore.application.ports import PluginCode, PluginCodes


class NodePlugins:
    """The port PluginCodes: what comes with FlexCore, and what was installed here since."""

    def __init__(self, builtins: PluginCodes) -> None:
        self._builtins = builtins
        self._installed: dict[str, PluginCode] = {}
        self._failures: dict[str, str] = {}

    def find(self, plugin_id: str) -> PluginCode | None:
        """Return the version that this node runs now."""
        return self._builtins.find(plugin_id) or self._installed.get(plugin_id)

    def all(self) -> Mapping[str, PluginCode]:
        """Return the version that this node runs now of each plugin, by its id."""
        return {**self._installed, **self._builtins.all()}

    def builtins(self) -> Mapping[str, PluginCode]:
        """Return those that come with FlexCore, by id."""
        return self._builtins.all()

    def installed(self) -> Mapping[str, PluginCode]:
        """Return those that came as packages, by id."""
        return dict(self._installed)

    def failure(self, plugin_id: str) -> str | None:
        """Say why a plugin that should run here does not."""
        return self._failures.get(plugin_id)

    def serve(self, code: PluginCode) -> PluginCode | None:
        """Run a version from now on; returns the one that was run until now."""
        self._failures.pop(code.manifest.id, None)
        before = self._installed.get(code.manifest.id)
        self._installed[code.manifest.id] = code
        return before

    def drop(self, plugin_id: str, failure: str | None = None) -> PluginCode | None:
        """Run no version any more, because of a `failure` or because the plugin is gone; returns what was run."""
        if failure is None:
            self._failures.pop(plugin_id, None)
        else:
            self._failures[plugin_id] = failure
        return self._installed.pop(plugin_id, None)
