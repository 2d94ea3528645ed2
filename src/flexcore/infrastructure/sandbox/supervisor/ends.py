"""How an execution ended, judged by all that is known of it."""

import os
import signal
from typing import Final, Literal

from flexcore.infrastructure.sandbox.messages import Ended, How, Refused
from flexcore.infrastructure.sandbox.supervisor.fork_servers import End

# The kernel counts for the limit by its ticks, and for us exactly: on a busy machine these differ.
_ACCURACY: Final = 0.7

EndedByUs = Literal["timed_out", "killed"]


def describe(
    execution_id: str,
    end: End,
    *,
    cpu_limit_seconds: int,
    wall_ms: int,
    ended_by_us: EndedByUs | None,
    error: str | None,
    out_of_memory: bool,
    peak_memory_bytes: int,
) -> Ended:
    """Make the message from what the launcher says and what the supervisor did."""
    code = None if end.status is None else os.waitstatus_to_exitcode(end.status)
    number = -code if code is not None and code < 0 else None
    how: How
    if code is None:
        how = ended_by_us or "not_started"
    elif number is None:
        how = "exited"
    elif out_of_memory:
        how = "out_of_memory"
    elif number == signal.SIGKILL and ended_by_us is not None:
        how = ended_by_us
    elif number == signal.SIGKILL and end.error is not None:
        how = "killed"
    else:
        how = "signalled"
        if number == signal.SIGKILL and end.cpu_ms >= cpu_limit_seconds * 1000 * _ACCURACY:
            # The kernel sends SIGKILL for it, for the first process of a namespace is deaf to others.
            number = signal.SIGXCPU
    return Ended(
        execution_id=execution_id,
        how=how,
        exit_code=code if how == "exited" else None,
        signal=int(number) if how == "signalled" and number is not None else None,
        cpu_ms=end.cpu_ms,
        peak_memory_bytes=peak_memory_bytes or end.peak_memory_bytes,
        wall_ms=wall_ms,
        refused=refusals(end.refused),
        error=error or end.error,
    )


def refusals(counts: dict[str, int]) -> tuple[Refused, ...]:
    """Give counts of refused calls as the message has them, the most frequent first."""
    return tuple(
        Refused(syscall=name, count=count) for name, count in sorted(counts.items(), key=lambda item: -item[1])
    )
