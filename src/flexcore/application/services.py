"""Service discovery: FlexCore itself and the FLEXT services around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service as it was seen last. `response_time_ms` is None when it did not answer."""

    service_name: str
    url: str
    status: Literal["healthy", "degraded", "unhealthy", "unknown"]
    response_time_ms: float | None
    last_check: datetime
    details: Mapping[str, Any]


class ServiceDirectory(Protocol):
    """Finds services and asks them how they are."""

    async def list(self) -> list[ServiceView]:
        """Return every known service."""
        ...

    async def get(self, name: str) -> ServiceView:
        """Return one service; raises NotFound naming the known ones."""
        ...
