"""What a module changes: before, after, and so whether anything does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """A change as it is predicted and shown; both sides hold plain data, and none of them a secret."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return dict(self.before) != dict(self.after)

    def result(self, **facts: Any) -> dict[str, Any]:
        """Return what a module returns: the same in check mode and after it was done."""
        return {"changed": self.needed, "diff": {"before": dict(self.before), "after": dict(self.after)}, **facts}
