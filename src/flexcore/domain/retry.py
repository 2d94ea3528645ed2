"""When a step that failed is tried again."""

from dataclasses import dataclass
from typing import Final

from flexcore.domain.errors import FieldError

MAX_ATTEMPTS: Final = 100
LONGEST_BACKOFF_MS: Final = 24 * 60 * 60 * 1000
LARGEST_MULTIPLIER: Final = 10.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff: each pause is `multiplier` times the one before, up to `max_backoff_ms`.

    `max_attempts` counts the first attempt too. `jitter` is the part of a pause, 0 to 1, that is left to chance, so
    that steps which failed together don't come back together.
    """

    max_attempts: int = 3
    initial_backoff_ms: int = 1000
    max_backoff_ms: int = 60_000
    multiplier: float = 2.0
    jitter: float = 0.2

    def backoff_ms(self, failed_attempt: int, draw: float) -> int | None:
        """Return the pause in ms after attempt number `failed_attempt` (from 1), or None if there is none left.

        `draw` is a random number from 0 up to 1; it only ever shortens the pause.
        """
        if failed_attempt >= self.max_attempts:
            return None
        pause = min(self.initial_backoff_ms * self.multiplier ** (failed_attempt - 1), self.max_backoff_ms)
        return round(pause * (1 - self.jitter * draw))

    def problems(self, field: str) -> list[FieldError]:
        """List what is wrong with the policy; `field` leads the names."""
        checks = (
            ("max_attempts", 1 <= self.max_attempts <= MAX_ATTEMPTS, f"must be 1 to {MAX_ATTEMPTS}"),
            ("initial_backoff_ms", self.initial_backoff_ms >= 0, "must be 0 or more"),
            (
                "max_backoff_ms",
                self.initial_backoff_ms <= self.max_backoff_ms <= LONGEST_BACKOFF_MS,
                f"must be initial_backoff_ms to {LONGEST_BACKOFF_MS}",
            ),
            ("multiplier", 1 <= self.multiplier <= LARGEST_MULTIPLIER, f"must be 1 to {LARGEST_MULTIPLIER:g}"),
            ("jitter", 0 <= self.jitter <= 1, "must be 0 to 1"),
        )
        return [FieldError(f"{field}.{name}", message) for name, fine, message in checks if not fine]
