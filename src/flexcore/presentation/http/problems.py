"""Problem documents (RFC 9457): the one shape of every error this API answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.types import Send

from flexcore.domain.errors import (
    Conflict,
    ExecutionCancelled,
    ExecutionKilled,
    ExecutionTimedOut,
    FlexCoreError,
    Forbidden,
    InvalidInput,
    NotFound,
    NotInstallable,
    PluginFailed,
    TooBusy,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
    VersionConflict,
)

TYPE_PREFIX: Final = "https://flexcore.flext.sh/problems/"
MEDIA_TYPE: Final = "application/problem+json"
_CHALLENGE: Final = 'Bearer realm="flexcore"'
_LONGEST_INSTANCE: Final = 256


class ProblemField(Struct, frozen=True):
    """One wrong field."""

    field: str
    message: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, for a program (`type`) and for a person (`detail`)."""

    type: Annotated[str, Meta(description="Stable address of the kind of problem")]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: Annotated[str, Meta(description="Path of the request")]
    timestamp: datetime
    correlation_id: str
    errors: tuple[ProblemField, ...] | None = None
    execution_id: str | None = None


class HttpError(Exception):
    """An error answer on its way out: status, the slug of its type, title, detail."""

    def __init__(
        self,
        status: int,
        slug: str,
        title: str,
        detail: str,
        *,
        errors: tuple[ProblemField, ...] | None = None,
        execution_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title
        self.errors = errors
        self.execution_id = execution_id
        self.headers = headers or {}


def bad_request(detail: str, *errors: ProblemField) -> HttpError:
    """400 with the wrong fields."""
    return HttpError(400, "invalid-request", "Invalid request", detail, errors=errors)


def not_found(detail: str) -> HttpError:
    """404."""
    return HttpError(404, "not-found", "Not found", detail)


def unauthorized(detail: str, *, error: str | None = None) -> HttpError:
    """401 with what the caller has to show; `error` is what RFC 6750 calls the reason, if a token was shown."""
    challenge = _CHALLENGE if error is None else f'{_CHALLENGE}, error="{error}"'
    return HttpError(401, "unauthorized", "Unauthorized", detail, headers={"www-authenticate": challenge})


def forbidden(detail: str) -> HttpError:
    """403."""
    headers = {"www-authenticate": f'{_CHALLENGE}, error="insufficient_scope"'}
    return HttpError(403, "forbidden", "Forbidden", detail, headers=headers)


def head_too_large(max_bytes: int) -> HttpError:
    """431 for a request whose line and headers don't end."""
    detail = f"The request line and the headers are larger than the {max_bytes} bytes this server accepts."
    return HttpError(431, "headers-too-large", "Headers too large", detail)


def internal_error() -> HttpError:
    """500 that says nothing but where to look: the cause is in the log under the same correlation id."""
    detail = "FlexCore failed in a way it did not expect. Its log has the cause under this correlation_id."
    return HttpError(500, "internal-error", "Internal error", detail)


def stopping() -> HttpError:
    """503 for a request that the end of this node cut off."""
    detail = "This node is shutting down and did not finish the request. Another node can take it."
    return HttpError(503, "unavailable", "Unavailable", detail, headers={"retry-after": "1"})


def from_failure(error: FlexCoreError) -> HttpError:
    """Translate a failure of the application; raises `error` itself if it is none that an answer can tell of."""
    detail = str(error)
    match error:
        case InvalidInput():
            return bad_request(detail, *(ProblemField(wrong.field, wrong.message) for wrong in error.errors))
        case NotFound():
            return not_found(detail)
        case NotInstallable():
            return HttpError(422, "not-installable", "Not installable", detail)
        case VersionConflict():
            return HttpError(409, "version-conflict", "Version conflict", detail)
        case Conflict():
            return HttpError(409, "conflict", "Conflict", detail)
        case ExecutionCancelled():
            return HttpError(409, "execution-cancelled", "Execution cancelled", detail, execution_id=error.execution_id)
        case Unauthenticated():
            return unauthorized(detail)
        case Forbidden():
            return forbidden(detail)
        case TooManyAttempts():
            headers = {"retry-after": str(error.retry_after_seconds)}
            return HttpError(429, "too-many-attempts", "Too many attempts", detail, headers=headers)
        case TooBusy():
            headers = {"retry-after": str(error.retry_after_seconds)}
            return HttpError(429, "too-busy", "Too busy", detail, headers=headers)
        case PluginFailed():
            return HttpError(500, "plugin-failed", "Plugin failed", detail, execution_id=error.execution_id)
        case ExecutionKilled():
            return HttpError(500, "execution-killed", "Execution killed", detail, execution_id=error.execution_id)
        case Unavailable():
            headers = {"retry-after": str(error.retry_after_seconds)}
            return HttpError(503, "unavailable", "Unavailable", detail, headers=headers)
        case ExecutionTimedOut():
            return HttpError(504, "execution-timed-out", "Execution timed out", detail, execution_id=error.execution_id)
        case _:
            raise error  # a defect: it has no place among the answers


def render(error: HttpError, *, path: str, correlation_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body that answer with `error`."""
    problem = Problem(
        type=TYPE_PREFIX + error.slug,
        title=error.title,
        status=error.status,
        detail=str(error),
        instance=path[:_LONGEST_INSTANCE],
        timestamp=datetime.now(UTC),
        correlation_id=correlation_id,
        errors=error.errors,
        execution_id=error.execution_id,
    )
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers.extend((name.encode(), value.encode()) for name, value in error.headers.items())
    return headers, body


async def send_problem(send: Send, error: HttpError, *, path: str, correlation_id: str) -> None:
    """Answer with `error`."""
    headers, body = render(error, path=path, correlation_id=correlation_id)
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
