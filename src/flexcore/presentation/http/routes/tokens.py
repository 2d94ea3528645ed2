"""API tokens: list, create, revoke."""

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from flexcore.application.access.accounts import ApiToken, ApiTokens, NewToken
from flexcore.domain.access import TOKEN_NAME, Role
from flexcore.presentation.http.operations import MAX_OFFSET, UNCACHED, Answer, Call, Content, NoParameters, Operation
from flexcore.presentation.http.validation import in_utc

MAX_PAGE: Final = 200
_TOKENS: Final = "/api/v1/flexcore/tokens"


class TokensQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET tokens."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Tokens a page")] = 50
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Tokens to leave out at the start")] = 0


class TokenPage(Struct, frozen=True):
    """Part of the API tokens, by owner and name; never their texts."""

    tokens: tuple[ApiToken, ...]
    total: int
    limit: int
    offset: int


class TokenBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A new API token of the caller; without `expires_at` it is good until it is deleted."""

    name: Annotated[str, Meta(pattern=TOKEN_NAME)]
    role: Annotated[Role, Meta(description="No higher than the caller's own")]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class TokenRoutes:
    """/api/v1/flexcore/tokens."""

    def __init__(self, tokens: ApiTokens) -> None:
        self._tokens = tokens

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=_TOKENS,
                name="listTokens",
                summary="The API tokens, by owner and name",
                tag="access",
                handler=self._list,
                query=TokensQuery,
                answers={200: Content(TokenPage, "One page of tokens")},
                problems=(429, 503),
            ),
            Operation(
                method="POST",
                path=_TOKENS,
                name="createToken",
                summary="Make an API token, whose text is shown this once",
                tag="access",
                handler=self._create,
                body=TokenBody,
                answers={201: Content(NewToken, "The new token")},
                problems=(404, 409, 429, 503),
                target=lambda call: f"{_TOKENS} {call.body.name} {call.body.role}",
            ),
            Operation(
                method="DELETE",
                path=_TOKENS + "/{id}",
                name="deleteToken",
                summary="Revoke an API token, on all nodes",
                tag="access",
                handler=self._delete,
                answers={204: Content(None, "It is good for nothing any more", media_type="")},
                problems=(404, 429, 503),
            ),
        )

    async def _list(self, call: Call[TokensQuery, None]) -> Answer:
        limit, offset = call.query.limit, call.query.offset
        tokens, total = await self._tokens.page(limit, offset)
        return Answer(TokenPage(tuple(tokens), total, limit, offset))

    async def _create(self, call: Call[NoParameters, TokenBody]) -> Answer:
        body = call.body
        expires_at = in_utc("expires_at", body.expires_at)
        made = await self._tokens.create(call.actor, body.name, body.role, expires_at)
        return Answer(made, 201, {**UNCACHED, "location": f"{_TOKENS}/{made.id}"})

    async def _delete(self, call: Call[Any, None]) -> Answer:
        await self._tokens.remove(call.path["id"])
        return Answer(None, 204)
