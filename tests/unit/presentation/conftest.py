"""An application around one small table of operations, called in process."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from msgspec import Meta, Struct
from starlette.types import ASGIApp

from flexcore.application.access.directory import Principal
from flexcore.application.audit import AuditRecord, StampedRecord
from flexcore.domain.access import ActorKind, Role
from flexcore.domain.errors import FlexCoreError, Unauthenticated, Unavailable
from flexcore.presentation.http.access import BearerTokens
from flexcore.presentation.http.app import build_app, operation_table
from flexcore.presentation.http.operations import Answer, Call, Content, Operation

TOKEN = "a-token-of-more-than-24-characters"
VIEWER_TOKEN = "the-token-of-somebody-who-only-reads"
MADE_ID = "0198f000-0000-7000-8000-000000000000"
Send = Callable[..., httpx.Response]


class Box(Struct, frozen=True, forbid_unknown_fields=True):
    """A nested body."""

    width: Annotated[int, Meta(ge=1, le=9)]


class Parcel(Struct, frozen=True, forbid_unknown_fields=True):
    """A body."""

    name: str
    box: Box | None = None


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """A body that may be left out."""

    text: str = "none"


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """A query."""

    limit: Annotated[int, Meta(ge=1, le=10, description="How many")] = 5
    detail: bool = False


class RecordedMetrics:
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, int]] = []

    def request_finished(self, route: str, method: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.requests.append((route, method, status))


class TwoTokens:
    """Knows an administrator and a viewer; `down` is what asking fails with."""

    down: Unavailable | None = None

    async def identify(self, credentials: bytes) -> Principal:
        if self.down is not None:
            raise self.down
        match credentials.decode():
            case "a-token-of-more-than-24-characters":
                return Principal("api_token", Role.ADMIN, ActorKind.MACHINE)
            case "the-token-of-somebody-who-only-reads":
                return Principal("vera", Role.VIEWER, ActorKind.USER)
        raise Unauthenticated("The token is not valid.")


class RecordedAudit:
    """Remembers what was told, in its order; `down` is what keeping a record fails with."""

    down: Unavailable | None = None

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, record: AuditRecord) -> None:
        self.records.append(record)

    async def commit(self, record: AuditRecord) -> None:
        self.records.append(record)
        if self.down is not None:
            raise self.down

    def stamp(self, record: AuditRecord) -> StampedRecord:
        raise NotImplementedError


class Routes:
    """Handlers that echo, or fail as told."""

    failure: Exception | None = None

    def operations(self) -> tuple[Operation, ...]:
        common: dict[str, Any] = {"summary": "Test", "tag": "test", "answers": {200: Content(dict[str, Any], "Echo")}}
        return (
            Operation(method="GET", path="/open", name="open", handler=self.echo, open=True, query=Filter, **common),
            Operation(method="GET", path="/things/{id}", name="get", handler=self.echo, **common),
            Operation(method="POST", path="/things/{id}", name="post", handler=self.echo, body=Parcel, **common),
            Operation(method="POST", path="/touch", name="touch", handler=self.echo, **common),
            Operation(
                method="POST", path="/note", name="note", handler=self.echo, body=Note, body_required=False, **common
            ),
        )

    async def echo(self, call: Call[Any, Any]) -> Answer:
        if self.failure is not None:
            raise self.failure
        return Answer(
            {
                "path": call.path,
                "query": call.query,
                "body": call.body,
                "correlation_id": call.correlation_id,
                "actor": call.actor.name,
            }
        )


@pytest.fixture
def metrics() -> RecordedMetrics:
    return RecordedMetrics()


@pytest.fixture
def routes() -> Routes:
    return Routes()


@pytest.fixture
def audit() -> RecordedAudit:
    return RecordedAudit()


@pytest.fixture
def identities() -> TwoTokens:
    return TwoTokens()


@pytest.fixture
def app(routes: Routes, metrics: RecordedMetrics, audit: RecordedAudit, identities: TwoTokens) -> ASGIApp:
    table = operation_table(routes.operations(), version="1.0", metrics=lambda: b"# metrics\n")
    return build_app(
        table,
        access=BearerTokens(identities),
        audit=audit,
        max_body_bytes=1000,
        metrics=metrics,
        new_id=lambda: MADE_ID,
    )


@pytest.fixture
def send(app: ASGIApp) -> Send:
    """Send one request with the token, unless told otherwise."""

    def send_one(
        method: str, path: str, *, authorized: bool = True, token: str = TOKEN, **arguments: Any
    ) -> httpx.Response:
        headers = {**({"authorization": f"Bearer {token}"} if authorized else {}), **arguments.pop("headers", {})}

        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://flexcore") as client:
                return await client.request(method, path, headers=headers, **arguments)

        return asyncio.run(exchange())

    return send_one


@pytest.fixture
def fail_with(routes: Routes) -> Callable[[Exception | FlexCoreError], None]:
    """Make every handler fail."""

    def set_failure(error: Exception) -> None:
        routes.failure = error

    return set_failure
