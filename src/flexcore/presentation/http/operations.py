"""What a route is: everything that routing, validation and the OpenAPI document need to know about it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from msgspec import Struct

from flexcore.application.audit import StampedRecord
from flexcore.domain.access import Actor, Role
from flexcore.presentation.http.uploads import PackageUploads

Query = TypeVar("Query")
Body = TypeVar("Body")


MAX_OFFSET: Final = 1_000_000
"""How many items of a list may be passed over; no list here is as long, and PostgreSQL counts to a limit."""


class NoParameters(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an operation that takes none."""


class NoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request that needs none; an empty object does for nothing."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Query, Body]):
    """One valid request. Of an open operation the caller is anonymous.

    `record` makes the audit record of its success. A handler may keep it together with what it does, and then says so
    in its answer.
    """

    path: Mapping[str, str]
    query: Query
    body: Body
    correlation_id: str
    actor: Actor
    idempotency_key: str | None = None
    last_event_id: str | None = None
    record: Callable[[], StampedRecord] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives back.

    `content` is encoded as JSON, unless it is of another declared media type: then it is bytes, or an iterator of
    bytes that are sent as they come. None is no content. `recorded`: the call's audit record is kept already.
    `actor` is who made the call, where that turned out only in the doing.
    """

    content: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    recorded: bool = False
    actor: Actor | None = None


UNCACHED: Final = {"cache-control": "no-store"}
"""Headers of an answer that nobody on the way may keep."""


@dataclass(frozen=True, slots=True)
class Content:
    """What an answer holds, for the OpenAPI document: a type msgspec can describe, or text of another media type.

    An answer of no media type has no content.
    """

    type: Any
    description: str
    media_type: str = "application/json"


Handler = Callable[[Call[Any, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    A body that is not `body_required` may be left out; then the handler gets the body's defaults. Where no `body` is
    declared, one that says anything is refused.
    `idempotent` operations take the header Idempotency-Key: the same request again under it is done once.
    `open` ones ask nobody who they are. The others need `role`: by default that of a viewer to GET something, and that
    of an admin for the rest.
    `changes` says whether a call that is no GET changes something: then it leaves an audit record of its `target`,
    which is the path if nothing else is declared.
    `max_body_bytes` is less than the server's limit where a large body makes no sense.
    Where `uploads` are declared, the body may be a form with a package instead.
    `resumable` ones take Last-Event-ID, which says where a stream broke off.
    `answers` are those with the operation's own content; `problems` are the statuses it answers with a problem
    document beside those that follow from the declaration itself (400, 401, 403, 413, 415, 500).
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    summary: str
    tag: str
    handler: Handler
    answers: Mapping[int, Content]
    problems: tuple[int, ...] = ()
    query: type[Struct] = NoParameters
    body: Any = None
    body_required: bool = True
    idempotent: bool = False
    uploads: PackageUploads | None = None
    resumable: bool = False
    open: bool = False
    role: Role | None = None
    changes: bool = True
    target: Callable[[Call[Any, Any]], str] | None = None
    max_body_bytes: int | None = None

    @property
    def audited(self) -> bool:
        """Whether each call leaves an audit record."""
        return self.method != "GET" and self.changes

    @property
    def required_role(self) -> Role | None:
        """The role that a caller needs; None for an open operation."""
        if self.open:
            return None
        return self.role or (Role.VIEWER if self.method == "GET" else Role.ADMIN)

    @property
    def all_problems(self) -> tuple[int, ...]:
        """Every status this operation may answer with a problem document."""
        # 400 also where there are no parameters: any that is sent is then an unknown one.
        statuses = {400, 500, *self.problems}
        if (role := self.required_role) is not None:
            statuses.add(401)
            if role is not Role.VIEWER:
                statuses.add(403)
        if self.reads_body:
            statuses |= {413, 415}
        return tuple(sorted(statuses - set(self.answers)))

    @property
    def reads_body(self) -> bool:
        """Whether a body is looked at, if only to see that it says nothing."""
        return self.body is not None or self.method in ("POST", "PUT")

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """Names between braces in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
