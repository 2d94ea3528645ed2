"""What the node can say about itself, for the routes that do."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

SERVICE: Final = "flexcore"


@dataclass(frozen=True, slots=True)
class Node:
    """Identity and age of the running process."""

    node_id: str
    version: str
    environment: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started_monotonic: float = field(default_factory=time.monotonic)

    @property
    def uptime_seconds(self) -> int:
        """Whole seconds since the process started serving."""
        return int(time.monotonic() - self._started_monotonic)
