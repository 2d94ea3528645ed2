"""The circuit breaker: after failures in a row a server is left alone for a while, then asked once."""

from __future__ import annotations

from .clock import Clock
from .errors import ClientError

FAILURES = 5
OPEN_SECONDS = 60.0


class CircuitBreaker:
    """Counts attempts on one server that failed in a row: no connection, no answer in time, or a server error.

    Closed, it lets everything pass. Open, it refuses at once for ``open_seconds``. Then it is half open: one attempt
    may pass, whose success closes it and whose failure opens it again. Checks of health go without it, for each of
    them is such an attempt by its nature.
    """

    def __init__(self, clock: Clock, failures: int = FAILURES, open_seconds: float = OPEN_SECONDS) -> None:
        self._clock = clock
        self._most = failures
        self._open_seconds = open_seconds
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False
        self._last: ClientError | None = None

    def check(self, what: str) -> None:
        """Let an attempt pass, or raise the ClientError that tells why not, of the kind of the last failure."""
        if self._opened_at is None:
            return
        left = self._opened_at + self._open_seconds - self._clock.monotonic()
        if left <= 0 and not self._probing:
            self._probing = True
            return
        # Set together with the moment of opening.
        last = self._last
        if last is None:
            return
        when = f"in {left:.0f} s" if left > 0 else "by a call that is under way"
        raise ClientError(
            last.kind,
            what=what,
            reason=f"not asked after {self._failures} failures in a row, the last one: {last.reason}",
            next_step=f"It is asked again {when}. {last.next_step}",
            phase=last.phase,
            http_status=last.http_status,
        )

    def succeeded(self) -> None:
        """Note an answer, whatever it says, that is no server error."""
        self._failures = 0
        self._opened_at = None
        self._probing = False

    def failed(self, error: ClientError) -> None:
        """Note a failure."""
        self._failures += 1
        self._last = error
        if self._probing or self._failures >= self._most:
            self._opened_at = self._clock.monotonic()
        self._probing = False

    def gave_up(self) -> None:
        """Note an attempt that was ended before it came to anything, so that another may probe."""
        self._probing = False
