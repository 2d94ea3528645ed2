"""Everything that running plugins takes on this node, joined: the sandbox, its broker, the secrets."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flexcore.application.audit import Audit
from flexcore.application.events import Events
from flexcore.application.runtime import Sandbox, SandboxMeasure
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.sandbox.broker import Endpoint, NetworkBroker
from flexcore.infrastructure.sandbox.control import Control
from flexcore.infrastructure.sandbox.emitter import EventEmitter
from flexcore.infrastructure.sandbox.execution import Services
from flexcore.infrastructure.sandbox.reaching import SandboxProcess, SandboxUnit
from flexcore.infrastructure.sandbox.runner import SandboxRunner
from flexcore.infrastructure.sandbox.secrets import PluginSecrets

START_SECONDS: Final = 10.0

_logger = logging.getLogger("flexcore.sandbox")


class SandboxTooWeak(Exception):  # noqa: N818 - reads as the reason not to start
    """The sandbox can't be as strict as it has to be; the text is one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxAccess:
    """How a node reaches its sandbox, and what plugins reach from there.

    `socket` is that of the supervisor's unit; without one the node starts a supervisor itself. A `strict` node does not
    start unless every measure is enforced. `credentials` is where the secrets of plugins are. `granted` are the
    operator's rules by plugin id, and `protected` the services that take one.
    """

    strict: bool
    socket: Path | None
    credentials: Path | None
    granted: Mapping[str, Iterable[str]]
    protected: Iterable[Endpoint]


class PluginRuntime:
    """The sandbox of this node. `own_port` is that of its API, `configuration` the settings of plugins by their ids."""

    def __init__(
        self,
        *,
        events: Events,
        audit: Audit,
        node_id: str,
        access: SandboxAccess,
        own_port: int | None,
        configuration: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._strict = access.strict
        self._supervisor = SandboxProcess() if access.socket is None else SandboxUnit(access.socket)
        self._control = Control(self._supervisor.connect)
        broker = NetworkBroker(granted=access.granted, protected=access.protected, own_port=own_port)
        self.runner = SandboxRunner(
            self._control,
            Services(broker, EventEmitter(events, node_id), audit),
            PluginSecrets(access.credentials),
            configuration=configuration,
        )

    async def start(self) -> None:
        """Reach the supervisor, and say what it can't enforce here; raises SandboxTooWeak."""
        self._control.open()
        try:
            hello = await self._control.connected(START_SECONDS)
        except Unavailable as error:
            if self._strict:
                raise SandboxTooWeak(f"sandbox.mode is strict, and {error}") from error
            _logger.warning("plugins can't be run yet: %s", error)
            return
        missing = [f"{measure.name} ({measure.detail})" for measure in hello.measures if not measure.enforced]
        if missing and self._strict:
            raise SandboxTooWeak(f"sandbox.mode is strict, and this host can't enforce {', '.join(missing)}")
        for measure in missing:
            _logger.warning("the sandbox of plugins can't enforce %s", measure)

    async def close(self) -> None:
        """End what still runs."""
        await self._control.close()
        await self._supervisor.close()

    def status(self) -> Sandbox:
        """Tell what is enforced."""
        hello = self._control.hello
        measures = () if hello is None else hello.measures
        return Sandbox(
            mode="strict" if self._strict else "enforced",
            problem=self._control.problem,
            measures=tuple(SandboxMeasure(item.name, item.enforced, item.detail) for item in measures),
        )
