"""What an execution used."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ExecutionUsage:
    """Of one execution with all its processes: processor time, and memory at its most; None is not measured."""

    cpu_ms: float | None = None
    peak_memory_bytes: int | None = None


NOT_MEASURED: Final = ExecutionUsage()
