"""Every way a request to FlexCore can fail. `str(error)` is a complete sentence meant for the caller.

An edge (HTTP, command line) maps the class to its own code and shows the text; it adds nothing and hides nothing,
so no message here may carry a password, a DSN, a file path or a stack trace.
"""

# The names say what happened to the request; "Error" behind each would say nothing more.
# ruff: noqa: N818

from collections.abc import Sequence
from dataclasses import dataclass

from flexcore.domain.usage import NOT_MEASURED, ExecutionUsage


class FlexCoreError(Exception):
    """A failure with a message for the caller; anything that is not one of these is a defect."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field of the input: its dotted name as the caller wrote it, and what is wrong with it."""

    field: str
    message: str


class InvalidInput(FlexCoreError):
    """The request itself is wrong; sending it again unchanged can't succeed."""

    def __init__(self, message: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(message)
        self.errors = errors

    @classmethod
    def field(cls, name: str, message: str) -> "InvalidInput":
        """One wrong field; the message names it so that it also reads well alone."""
        return cls.fields([FieldError(name, message)])

    @classmethod
    def fields(cls, errors: Sequence[FieldError], what: str = "") -> "InvalidInput":
        """Every wrong field, after `what` they are wrong in."""
        return cls(what + "; ".join(f"{error.field} {error.message}" for error in errors), tuple(errors))


class NotFound(FlexCoreError):
    """The thing named by the request does not exist."""


class Conflict(FlexCoreError):
    """The request is well formed but does not fit the present state."""


class NotInstallable(FlexCoreError):
    """A plugin is in order by itself and can't be had here all the same: a dependency lacks, or it does not answer."""


class VersionConflict(Conflict):
    """Someone else appended to the stream first: read it again, decide again, append again."""


class TooBusy(FlexCoreError):
    """No capacity right now; the same request can succeed after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooManyAttempts(TooBusy):
    """A password was tried too often; trying before `retry_after_seconds` is in vain, also with the right one."""


class Unauthenticated(FlexCoreError):
    """Nothing proves who calls: no token, or one that is forged, expired or revoked, or a wrong password."""


class Forbidden(FlexCoreError):
    """The caller is known, and may not do this."""


class Unavailable(FlexCoreError):
    """Something FlexCore needs (`service`, such as "postgresql") does not answer; worth a retry after a while."""

    def __init__(self, service: str, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.service = service
        self.retry_after_seconds = retry_after_seconds


class LeadershipLost(FlexCoreError):
    """Another node leads since: what this one was about to write as leader was refused."""


class ExecutionFailure(FlexCoreError):
    """A plugin was run, or was about to be, and gave no answer; `usage` is what it took until then."""

    def __init__(self, message: str, execution_id: str, usage: ExecutionUsage = NOT_MEASURED) -> None:
        super().__init__(message)
        self.execution_id = execution_id
        self.usage = usage


class PluginFailed(ExecutionFailure):
    """The plugin broke: it crashed, or gave no usable answer."""


class ExecutionTimedOut(ExecutionFailure):
    """The plugin was stopped because it ran longer than the caller or its manifest allowed."""


class ExecutionCancelled(ExecutionFailure):
    """The plugin was stopped, or never begun, because somebody asked for that."""


class ExecutionKilled(ExecutionFailure):
    """The plugin was killed because it wanted more than it may have: memory, processor time, output, ..."""
