"""Proves that plugins can be run, by running one."""

from typing import Final

from flexcore.application.ports import NewId, PluginCode, PluginCodes, PluginRequest, PluginRunner, ProbeResult
from flexcore.domain.errors import Unavailable
from flexcore.domain.manifest import HEALTH
from flexcore.infrastructure.sandbox.control import COMPONENT

TRIAL: Final = "simple-processor"
"""The plugin that is asked how it is: it needs nothing but the sandbox."""
TRIAL_SECONDS: Final = 2.0


class PluginRuntimeProbe:
    """Runs a trivial execution in the sandbox, which is no execution of anybody's and leaves no events."""

    name: Final = COMPONENT

    def __init__(self, codes: PluginCodes, runner: PluginRunner, new_id: NewId) -> None:
        self._codes = codes
        self._runner = runner
        self._new_id = new_id

    async def check(self) -> ProbeResult:
        """Run it; raises Unavailable, and what running a plugin raises."""
        code = self._trial()
        self._runner.check(code)
        execution_id = self._new_id()
        await self._runner.run(
            PluginRequest(
                execution_id=execution_id,
                code=code,
                operation=HEALTH,
                data={},
                timeout_seconds=TRIAL_SECONDS,
                correlation_id=execution_id,
            )
        )
        number = len(self._codes.all())
        return ProbeResult(None, f"{number} plugins can run here, each execution in a sandbox of its own")

    def _trial(self) -> PluginCode:
        code = self._codes.find(TRIAL)
        if code is None:
            raise Unavailable(self.name, f"the plugin '{TRIAL}' is gone; install this release again")
        return code
