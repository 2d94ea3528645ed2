"""Every route, for every kind of caller: what the contract says, what the document says, and what the server does.

The requests come from the running server's OpenAPI document. What is expected comes from the table below, which is the
contract's own statement and knows nothing of the code: a wrong role in the code is found, and so is a new route that
nobody has thought about.
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import wait_until

pytestmark = pytest.mark.anyio

# "viewer (GET), operator (viewer + execute, enable, pipelines, drain), admin (everything)"; "/health*, /metrics, /info
# are open". The document describes the API, and a login comes before there is a token: both are open too.
OPEN, VIEWER, OPERATOR, ADMIN = "open", "viewer", "operator", "admin"
ROUTES = {
    "GET /health": OPEN,
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    "GET /info": OPEN,
    "GET /metrics": OPEN,
    "GET /openapi.json": OPEN,
    "POST /auth/login": OPEN,
    "GET /auth/me": VIEWER,
    "POST /auth/logout": VIEWER,
    "POST /auth/password": VIEWER,
    "GET /api/v1/flexcore/audit": VIEWER,
    "GET /api/v1/flexcore/cluster/nodes": VIEWER,
    "GET /api/v1/flexcore/cluster/status": VIEWER,
    "POST /api/v1/flexcore/cluster/nodes/{id}/drain": OPERATOR,
    "POST /api/v1/flexcore/cluster/nodes/{id}/resume": OPERATOR,
    "POST /api/v1/flexcore/commands": OPERATOR,
    "GET /api/v1/flexcore/events": VIEWER,
    "GET /api/v1/flexcore/events/stream": VIEWER,
    "GET /api/v1/flexcore/events/verify": VIEWER,
    "POST /api/v1/flexcore/events": ADMIN,
    "POST /api/v1/flexcore/events/batch": ADMIN,
    "GET /api/v1/flexcore/executions": VIEWER,
    "GET /api/v1/flexcore/executions/{id}": VIEWER,
    "POST /api/v1/flexcore/executions/{id}/cancel": OPERATOR,
    "GET /api/v1/flexcore/logs": VIEWER,
    "GET /api/v1/flexcore/logs/stream": VIEWER,
    "GET /api/v1/flexcore/marketplace": VIEWER,
    "GET /api/v1/flexcore/pipelines": VIEWER,
    "POST /api/v1/flexcore/pipelines": OPERATOR,
    "GET /api/v1/flexcore/pipelines/{id}": VIEWER,
    "DELETE /api/v1/flexcore/pipelines/{id}": OPERATOR,
    "POST /api/v1/flexcore/pipelines/{id}/activate": OPERATOR,
    "POST /api/v1/flexcore/pipelines/{id}/cancel": OPERATOR,
    "POST /api/v1/flexcore/pipelines/{id}/execute": OPERATOR,
    "GET /api/v1/flexcore/pipelines/{id}/status": VIEWER,
    "GET /api/v1/flexcore/plugins": VIEWER,
    "POST /api/v1/flexcore/plugins": ADMIN,
    "GET /api/v1/flexcore/plugins/{id}": VIEWER,
    "PUT /api/v1/flexcore/plugins/{id}": ADMIN,
    "DELETE /api/v1/flexcore/plugins/{id}": ADMIN,
    "GET /api/v1/flexcore/plugins/{id}/commands": VIEWER,
    "GET /api/v1/flexcore/plugins/{id}/logs": VIEWER,
    "GET /api/v1/flexcore/plugins/{id}/status": VIEWER,
    "POST /api/v1/flexcore/plugins/{id}/disable": OPERATOR,
    "POST /api/v1/flexcore/plugins/{id}/enable": OPERATOR,
    "POST /api/v1/flexcore/plugins/{id}/execute": OPERATOR,
    "POST /api/v1/flexcore/queries": VIEWER,
    "GET /api/v1/flexcore/runtime/config": VIEWER,
    "GET /api/v1/flexcore/runtime/metrics": VIEWER,
    "GET /api/v1/flexcore/runtime/status": VIEWER,
    "GET /api/v1/flexcore/services": VIEWER,
    "GET /api/v1/flexcore/services/{name}": VIEWER,
    "GET /api/v1/flexcore/status": VIEWER,
    "GET /api/v1/flexcore/tokens": VIEWER,
    "POST /api/v1/flexcore/tokens": ADMIN,
    "DELETE /api/v1/flexcore/tokens/{id}": ADMIN,
    "GET /api/v1/flexcore/users": VIEWER,
    "POST /api/v1/flexcore/users": ADMIN,
    "GET /api/v1/flexcore/users/{name}": VIEWER,
    "PUT /api/v1/flexcore/users/{name}": ADMIN,
    "DELETE /api/v1/flexcore/users/{name}": ADMIN,
    "GET /api/v1/logs": VIEWER,
    "GET /api/v1/plugins": VIEWER,
    "GET /api/v1/plugins/{name}": VIEWER,
    "POST /api/v1/plugins/execute": OPERATOR,
    "POST /api/v1/plugins/{name}/execute": OPERATOR,
}
COMMANDS = {
    "CreatePipeline": OPERATOR,
    "ActivatePipeline": OPERATOR,
    "StartPipeline": OPERATOR,
    "CancelPipeline": OPERATOR,
    "EnablePlugin": OPERATOR,
    "DisablePlugin": OPERATOR,
    "ExecutePlugin": OPERATOR,
    "RegisterPlugin": ADMIN,
    "RemovePlugin": ADMIN,
}
LADDER = (VIEWER, OPERATOR, ADMIN)
TOKENS = "/api/v1/flexcore/tokens"
PASSWORD = "a long enough password"
AT_ONCE = 24


@dataclass(frozen=True)
class Caller:
    """A kind of caller: its token, and the role that the server should see in it; None for one who proves nothing."""

    kind: str
    token: str | None
    role: str | None

    def expected(self, needed: str) -> int | None:
        """The refusal that `needed` means for this caller; None if it is let in."""
        if needed == OPEN:
            return None
        if self.role is None:
            return 401
        return None if LADDER.index(self.role) >= LADDER.index(needed) else 403


@pytest.fixture
def process(environ: dict[str, str]) -> Iterator[FlexCoreProcess]:
    with running({**environ, "FLEXCORE_ADMIN_PASSWORD": PASSWORD}) as process:
        yield process


@pytest.fixture
def callers(process: FlexCoreProcess) -> list[Caller]:
    """Nobody, whoever has a role by token or by session, and those whose token is no good any more, or never was."""
    with process.client() as api:

        def token(name: str, role: str, **more: Any) -> dict[str, Any]:
            made: dict[str, Any] = api.post(TOKENS, json={"name": name, "role": role, **more}).json()
            return made

        def session(name: str) -> str:
            wait_until(lambda: api.get(f"/api/v1/flexcore/users/{name}").is_success, 10, f"the user {name}")
            answer = api.post("/auth/login", json={"username": name, "password": PASSWORD})
            text: str = answer.json()["access_token"]
            return text

        soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
        expired, revoked = token("expired", ADMIN, expires_at=soon)["token"], token("revoked", ADMIN)
        for role in (VIEWER, OPERATOR):
            api.post("/api/v1/flexcore/users", json={"name": role, "password": PASSWORD, "role": role})
        operator, admin = session(OPERATOR), session(ADMIN)
        left = session(VIEWER)
        assert api.put("/api/v1/flexcore/users/viewer", json={"disabled": True}).is_success
        assert api.delete(f"{TOKENS}/{revoked['id']}").is_success
        callers = [
            Caller("nobody", None, None),
            Caller("viewer's token", token(VIEWER, VIEWER)["token"], VIEWER),
            Caller("operator's session", operator, OPERATOR),
            Caller("admin's session", admin, ADMIN),
            Caller("revoked token", revoked["token"], None),
            Caller("session of a disabled user", left, None),
            Caller("expired token", expired, None),
            *(Caller(f"forged: {how}", text, None) for how, text in forgeries(admin).items()),
        ]
        with process.client(token=expired) as late:
            wait_until(lambda: late.get("/auth/me").status_code == 401, 5, "the expiry")
    return callers


def forgeries(good: str) -> dict[str, str]:
    """Make tokens of an admin's session that only look like one."""
    header = jwt.get_unverified_header(good)
    claims = jwt.decode(good, options={"verify_signature": False})
    stranger = Ed25519PrivateKey.generate()
    unsigned = {**header, "alg": "none"}
    # How else a token can be wrong is the matter of tests/unit/access/test_sessions.py.
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (unsigned, claims)]
    return {
        "not signed": ".".join([*parts, ""]),
        "another key": jwt.encode(claims, stranger, "EdDSA", headers=header),
    }


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation of a document, as `METHOD path`."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def body_of(operation: dict[str, Any]) -> dict[str, Any] | None:
    """A body for a request: whoever may not send it must not get as far as hearing what is wrong with it."""
    return {} if "requestBody" in operation else None


async def status_of(client: httpx.AsyncClient, caller: Caller, route: str, body: Any) -> int:
    """Send one request and return the status, without waiting for the end of a stream."""
    method, path = route.split(" ")
    headers = {} if caller.token is None else {"authorization": f"Bearer {caller.token}"}
    # Nothing has this id, so that whoever is let in breaks nothing.
    path = path.replace("{id}", "no-such").replace("{name}", "no-such")
    async with client.stream(method, path, headers=headers, json=body) as response:
        return response.status_code


async def wrong_answers(process: FlexCoreProcess, requests: list[tuple[Caller, str, Any, str, str]]) -> list[str]:
    """Send requests (caller, route, body, needed role, name) and return those that were answered as they should not."""
    # Requests stand in line for a connection for as long as it takes.
    timeout, limits = httpx.Timeout(30.0, pool=None), httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=process.url, limits=limits, timeout=timeout, trust_env=False) as client:
        statuses = await asyncio.gather(
            *(status_of(client, caller, route, body) for caller, route, body, _, _ in requests)
        )
    found = []
    for (caller, _, _, needed, name), status in zip(requests, statuses, strict=True):
        expected = caller.expected(needed)
        # One answer is about what the caller sent rather than about the caller: logging in with nothing to log in with.
        good = status == expected if expected else status not in (401, 403) and status < 500
        if not good:
            found.append(f"{caller.kind} {name}: {status} instead of {expected or 'being let in'}")
    return found


async def test_every_route_lets_in_whom_it_should(process: FlexCoreProcess, callers: list[Caller]) -> None:
    with process.client() as api:
        document = operations(api.get("/openapi.json").json())
    assert set(document) == set(ROUTES), "a route has no entry in the table above, or is gone"
    said = {route: operation.get("x-required-role", OPEN) for route, operation in document.items()}
    assert said == ROUTES
    assert {route for route, operation in document.items() if not operation["security"]} == {
        route for route, role in ROUTES.items() if role == OPEN
    }
    requests = [
        (caller, route, body_of(operation), ROUTES[route], route)
        for caller in callers
        for route, operation in document.items()
        if route != "POST /auth/logout" or caller.token is None or not caller.kind.endswith("session")
    ]
    assert await wrong_answers(process, requests) == []


async def test_every_command_lets_in_whom_it_should(process: FlexCoreProcess, callers: list[Caller]) -> None:
    with process.client() as api:
        document = api.get("/openapi.json").json()
    body = document["paths"]["/api/v1/flexcore/commands"]["post"]["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["discriminator"]["mapping"]) == set(COMMANDS)
    payload = {"name": "p", "steps": [{"id": "s", "plugin": "no-such"}]}
    requests = [
        (
            caller,
            "POST /api/v1/flexcore/commands",
            {"command_type": kind, "command_id": f"{kind}-{number}"}
            | ({"payload": payload} if kind == "CreatePipeline" else {"aggregate_id": "no-such"}),
            needed,
            kind,
        )
        for number, caller in enumerate(callers)
        for kind, needed in COMMANDS.items()
    ]
    assert await wrong_answers(process, requests) == []


async def test_ending_a_session_is_for_whoever_has_one(process: FlexCoreProcess, callers: list[Caller]) -> None:
    """Apart, because it ends the session that the other requests are made with."""
    route = "POST /auth/logout"
    sessions = [caller for caller in callers if caller.role and caller.kind.endswith("session")]
    assert await wrong_answers(process, [(caller, route, None, VIEWER, route) for caller in sessions]) == []
    ended = [Caller(f"ended {caller.kind}", caller.token, None) for caller in sessions]
    me = "GET /auth/me"
    assert await wrong_answers(process, [(caller, me, None, VIEWER, me) for caller in ended]) == []
