"""Service discovery."""

from typing import Any

from msgspec import Struct

from flexcore.application.services import ServiceDirectory, ServiceView
from flexcore.presentation.http.operations import Answer, Call, Content, Operation

_SERVICES = "/api/v1/flexcore/services"


class Services(Struct, frozen=True):
    """Every known service."""

    services: list[ServiceView]


class ServiceRoutes:
    """/api/v1/flexcore/services and below."""

    def __init__(self, directory: ServiceDirectory) -> None:
        self._directory = directory

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path=_SERVICES,
                name="listServices",
                summary="FlexCore and the FLEXT services it was told of, each asked within the last 5 s",
                tag="services",
                handler=self._list,
                answers={200: Content(Services, "All services")},
            ),
            Operation(
                method="GET",
                path=_SERVICES + "/{name}",
                name="getService",
                summary="One service",
                tag="services",
                handler=self._get,
                answers={200: Content(ServiceView, "The service")},
                problems=(404,),
            ),
        )

    async def _list(self, call: Call[Any, None]) -> Answer:
        return Answer(Services(await self._directory.list()))

    async def _get(self, call: Call[Any, None]) -> Answer:
        return Answer(await self._directory.get(call.path["name"]))
