"""When to ask again: exponential backoff with jitter, for idempotent calls only, and never past the deadline."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Callable

RETRIABLE_STATUSES = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """``retries`` more attempts after the first; delays in seconds; ``random_unit`` gives numbers in [0, 1)."""

    retries: int = 2
    base_seconds: float = 0.1
    cap_seconds: float = 2.0
    random_unit: Callable[[], float] = field(default=random.random, compare=False)

    def delay(self, attempt: int, retry_after: float | None, remaining: float) -> float | None:
        """Return how long to wait after failed ``attempt`` (from 1), or None when another attempt makes no sense.

        A server that names a time is taken at its word: if that lies past ``remaining``, asking sooner would only be
        refused again, so the caller hears of it now.
        """
        if attempt > self.retries:
            return None
        backoff = min(self.cap_seconds, self.base_seconds * 2.0 ** (attempt - 1)) * (0.5 + self.random_unit() / 2)
        pause = backoff if retry_after is None else max(backoff, retry_after)
        return pause if pause < remaining else None


NO_RETRIES = RetryPolicy(retries=0)


def retry_after_seconds(header: str | None) -> float | None:
    """Read a Retry-After header given in seconds; a date or rubbish counts as not given."""
    try:
        seconds = float(header) if header is not None else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None
