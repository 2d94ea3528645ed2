"""What a plugin may import from FlexCore. It loads nothing, because every execution pays for what it loads."""

import sys

_PRIORITIES = {"error": 3, "warning": 4, "info": 6, "debug": 7}
_execution_id = ""


class OperationFailed(Exception):  # noqa: N818 - reads as the answer it gives
    """The operation could not do its work, and says why: the caller gets `success: false` with `error` and `details`.

    Any other exception is a crash of the plugin.
    """

    def __init__(self, error: str, **details: object) -> None:
        super().__init__(error)
        self.details = details


def log(message: str, level: str = "info") -> None:
    """Write a record to FlexCore's log; levels are error, warning, info and debug."""
    print(f"<{_PRIORITIES[level]}>{message}", file=sys.stderr, flush=True)  # noqa: T201 - this is the log


def execution_id() -> str:
    """Return the id of this execution, which stays the same when another node begins it again.

    An operation that changes something elsewhere hands it on, for instance as an idempotency key, so that the change
    happens once however often it is begun.
    """
    return _execution_id
