"""The audit trail: read it."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from flexcore.application.audit import MAX_PAGE, AuditLog, AuditPage, AuditQuery
from flexcore.presentation.http.operations import Answer, Call, Content, Operation
from flexcore.presentation.http.parameters import Cursor, Moment
from flexcore.presentation.http.validation import in_utc

_AUDIT: Final = "/api/v1/flexcore/audit"
_Name = Annotated[str, Meta(min_length=1, max_length=256)]


class AuditParameters(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """Parameters of GET audit."""

    actor: Annotated[_Name | None, Meta(description="Only what this caller did")] = None
    action: Annotated[_Name | None, Meta(description="Only this operation, such as executePlugin")] = None
    since: Annotated[Moment | None, Meta(description="Only records from then on, RFC 3339")] = None
    to: Annotated[Moment | None, Meta(description="Only records before then, RFC 3339")] = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Records a page")] = 100
    cursor: Annotated[Cursor | None, Meta(description="next_cursor of an earlier answer: older ones")] = None


class AuditRoutes:
    """/api/v1/flexcore/audit."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def operations(self) -> tuple[Operation, ...]:
        """Declare the route."""
        return (
            Operation(
                method="GET",
                path=_AUDIT,
                name="listAudit",
                summary="Who did what, when, from where, and what came of it; newest first",
                tag="access",
                handler=self._list,
                query=AuditParameters,
                answers={200: Content(AuditPage, "One page of records")},
                problems=(429, 503),
            ),
        )

    async def _list(self, call: Call[AuditParameters, None]) -> Answer:
        query = call.query
        return Answer(
            await self._log.page(
                AuditQuery(
                    actor=query.actor,
                    action=query.action,
                    since=in_utc("from", query.since),
                    to=in_utc("to", query.to),
                    limit=query.limit,
                    cursor=query.cursor,
                )
            )
        )
