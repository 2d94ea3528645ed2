"""Jobs: work that some node does, at least once, after the transaction that asked for it was committed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

JobHandler = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Does one job, given its arguments.

Raising TooBusy or Unavailable says "not now": some node tries again shortly. Any other end is the end of the job.
A handler that is cancelled lets go of what it does at once; another node then begins it anew.
"""


class Tasks:
    """What this node can do, by the names that jobs ask for. Nodes take no job whose task they do not know."""

    def __init__(self) -> None:
        self._handlers: dict[str, JobHandler] = {}

    def register(self, task: str, handler: JobHandler) -> None:
        """Let `handler` do the jobs named `task`. Everything is registered before the worker starts."""
        if task in self._handlers:
            raise ValueError(f"the task '{task}' is registered already")
        self._handlers[task] = handler

    @property
    def handlers(self) -> Mapping[str, JobHandler]:
        """The handlers by the names of their tasks."""
        return self._handlers
