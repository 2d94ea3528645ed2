"""The marketplace: what can be installed."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from flexcore.application.marketplace import MAX_PAGE, MarketplaceDesk, MarketplacePage
from flexcore.presentation.http.operations import MAX_OFFSET, Answer, Call, Content, Operation

_MARKETPLACE: Final = "/api/v1/flexcore/marketplace"


class MarketplaceQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of GET marketplace."""

    query: Annotated[str, Meta(max_length=255, description="Words in id, name, type or description")] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Plugins a page")] = 50
    offset: Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="Plugins to leave out at the start")] = 0


class MarketplaceRoutes:
    """/api/v1/flexcore/marketplace."""

    def __init__(self, desk: MarketplaceDesk) -> None:
        self._desk = desk

    def operations(self) -> tuple[Operation, ...]:
        """Declare the route."""
        return (
            Operation(
                method="GET",
                path=_MARKETPLACE,
                name="listMarketplace",
                summary="Plugins that can be installed, with their versions, dependencies and signatures",
                tag="plugins",
                handler=self._list,
                query=MarketplaceQuery,
                answers={200: Content(MarketplacePage, "One page of plugins")},
                problems=(429, 503),
            ),
        )

    async def _list(self, call: Call[MarketplaceQuery, None]) -> Answer:
        query = call.query
        return Answer(await self._desk.page(query.query, query.limit, query.offset))
