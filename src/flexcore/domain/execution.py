"""One execution of a plugin, as the events it leaves in the plugin's stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flexcore.domain.events import PLUGIN_AGGREGATE, NewEvent, PluginEvent
from flexcore.domain.usage import NOT_MEASURED, ExecutionUsage


class FailureReason(StrEnum):
    """Why an execution did not come to an answer of the plugin; `killed` for more than it may have, such as memory."""

    PLUGIN_FAILED = "plugin_failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    KILLED = "killed"
    REFUSED = "refused"
    NODE_LOST = "node_lost"


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """Writes the events of one execution.

    They hold what was run, how long and how it ended; never the parameters or the result, which may be large or
    secret. `part_of` names the pipeline and the step that the execution is for, if it is for one. `attempt` counts
    the times that a node began it; it is 0 in the events of an execution that has not begun.
    """

    execution_id: str
    plugin_id: str
    operation: str
    metadata: Mapping[str, Any]
    part_of: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1

    def queued(self, timeout_seconds: float) -> NewEvent:
        """Tell that some node is to run the plugin, for at most `timeout_seconds`."""
        return self._event(PluginEvent.EXECUTION_QUEUED, {"timeout_seconds": timeout_seconds})

    def started(self, timeout_seconds: float) -> NewEvent:
        """Tell that the plugin is about to run, for at most `timeout_seconds`."""
        return self._event(PluginEvent.EXECUTION_STARTED, {"timeout_seconds": timeout_seconds})

    def completed(self, *, success: bool, execution_time_ms: float, usage: ExecutionUsage = NOT_MEASURED) -> NewEvent:
        """Tell that the plugin answered; `success` is its own verdict."""
        return self._event(
            PluginEvent.EXECUTION_COMPLETED,
            {"success": success, "execution_time_ms": execution_time_ms, **_measured(usage)},
        )

    def failed(
        self, reason: FailureReason, error: str, execution_time_ms: float, usage: ExecutionUsage = NOT_MEASURED
    ) -> NewEvent:
        """Tell that the plugin gave no answer; `error` says why in a sentence."""
        # A plugin's own words end up here, and PostgreSQL can't store the character NUL.
        text = error.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return self._event(
            PluginEvent.EXECUTION_FAILED,
            {"reason": reason.value, "error": text, "execution_time_ms": execution_time_ms, **_measured(usage)},
        )

    def _event(self, event_type: PluginEvent, data: dict[str, Any]) -> NewEvent:
        facts = {
            "execution_id": self.execution_id,
            "operation": self.operation,
            "attempt": self.attempt,
            **self.part_of,
            **data,
        }
        return NewEvent(event_type, self.plugin_id, PLUGIN_AGGREGATE, facts, self.metadata)


def _measured(usage: ExecutionUsage) -> dict[str, float]:
    measured = {"cpu_ms": usage.cpu_ms, "peak_memory_bytes": usage.peak_memory_bytes}
    return {name: value for name, value in measured.items() if value is not None}
