"""The answers of plugins that are kept, for callers who ask later."""

from dataclasses import dataclass
from typing import Any, Protocol

from flexcore.application.ports import PluginResult


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A plugin's answer as it was kept: its size in bytes as JSON, and the answer unless it was too large."""

    size: int
    kept: bool
    data: Any = None


class KeptResults(Protocol):
    """What plugins answered, for some time. Raises Unavailable while the database does not answer."""

    async def keep(self, execution_id: str, attempt: int, result: PluginResult) -> None:
        """Keep the answer of one attempt, or that it is too large to be kept."""
        ...

    async def find(self, execution_id: str, attempt: int) -> KeptResult | None:
        """Return the answer of one attempt; None if none was kept, or it no longer is."""
        ...
