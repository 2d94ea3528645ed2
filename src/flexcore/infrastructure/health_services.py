"""Everything by which a node judges itself, joined: the checks of what it needs, and the monitor that runs them."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from flexcore.application.health import HealthMonitor, Status
from flexcore.application.ports import Probe
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.database import Database
from flexcore.infrastructure.postgres.probe import EventStoreProbe, PostgresProbe
from flexcore.infrastructure.redis.connection import RedisAccess
from flexcore.infrastructure.redis.probe import RedisProbe
from flexcore.infrastructure.telemetry.self_checks import DiskProbe

VITAL: Final = frozenset({"postgresql", "event_store"})
"""Components without which the node is unhealthy; the others degrade it."""
NEEDED: Final = frozenset({"postgresql", "event_store", "redis", "plugin_runtime"})
"""Components without which a request could fail."""


class HealthServices:
    """How the node fares. `probes` are the checks of its own parts; `held` says why it is kept out of work."""

    def __init__(
        self,
        *,
        postgres: PostgresAccess,
        database: Database,
        redis: RedisAccess,
        probes: Iterable[Probe],
        held: Callable[[], str | None],
        node_id: str,
    ) -> None:
        self._redis = RedisProbe(redis, node_id=node_id)
        self.monitor = HealthMonitor(
            (
                PostgresProbe(postgres, node_id=node_id),
                self._redis,
                EventStoreProbe(database),
                *probes,
                DiskProbe(Path(tempfile.gettempdir())),
            ),
            vital=VITAL,
            needed=NEEDED,
            held=held,
        )

    def components_up(self) -> dict[str, bool]:
        """Tell which components are healthy."""
        return {name: found.status is Status.HEALTHY for name, found in self.monitor.snapshot().components.items()}

    async def start(self) -> None:
        """Begin to check; returns when everything was checked once."""
        await self.monitor.start()

    async def close(self) -> None:
        """Stop checking."""
        await self.monitor.close()
        await self._redis.close()
