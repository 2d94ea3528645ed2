"""Users, API tokens and sessions over the API of two nodes."""

import contextlib
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.servers import wait_until

USERS = "/api/v1/flexcore/users"
TOKENS = "/api/v1/flexcore/tokens"
AUDIT = "/api/v1/flexcore/audit"
FIRST_PASSWORD = "correct horse battery staple"
PASSWORD = "a long enough password"


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "FLEXCORE_ADMIN_PASSWORD": FIRST_PASSWORD}


@pytest.fixture
def second(environ: dict[str, str]) -> Iterator[FlexCoreProcess]:
    """Another node of the same cluster."""
    with running({**environ, "FLEXCORE_NODE_ID": "core2"}) as process:
        yield process


def log_in(client: httpx.Client, name: str = "admin", password: str = FIRST_PASSWORD) -> httpx.Response:
    return client.post("/auth/login", json={"username": name, "password": password})


@contextlib.contextmanager
def session(process: FlexCoreProcess, name: str = "admin", password: str = FIRST_PASSWORD) -> Iterator[httpx.Client]:
    """Log in, as soon as there is such a user."""
    with process.client(token=None) as client:
        wait_until(lambda: log_in(client, name, password).status_code == 200, 10, f"the user {name}")
        client.headers["authorization"] = f"Bearer {log_in(client, name, password).json()['access_token']}"
        yield client


def add_user(client: httpx.Client, name: str, role: str = "viewer") -> None:
    assert client.post(USERS, json={"name": name, "password": PASSWORD, "role": role}).status_code == 201


def test_the_first_admin_comes_from_the_credential_and_logs_in(flexcore: FlexCoreProcess) -> None:
    with session(flexcore) as admin:
        assert admin.get("/auth/me").json() == {"name": "admin", "role": "admin", "kind": "user"}
        (user,) = admin.get(USERS).json()["users"]
        assert (user["name"], user["role"], user["disabled"]) == ("admin", "admin", False)
        answer = log_in(admin)
        assert answer.json()["token_type"] == "bearer"
        assert answer.json()["expires_in"] == 3600
        assert answer.headers["cache-control"] == "no-store"
        logins = admin.get(AUDIT, params={"actor": "admin", "action": "login"}).json()["audit"]
        assert logins[0]["outcome"] == "succeeded"
        made = admin.get(AUDIT, params={"action": "createFirstUser"})
        wait_until(lambda: admin.get(AUDIT, params={"action": "createFirstUser"}).json()["audit"], 5, "its record")
        assert made.status_code == 200


def test_a_later_start_makes_nobody(flexcore: FlexCoreProcess, environ: dict[str, str]) -> None:
    with session(flexcore) as admin:
        assert admin.put(f"{USERS}/admin", json={"password": PASSWORD}).status_code == 200
    with running({**environ, "FLEXCORE_NODE_ID": "core2"}) as again, session(again, "admin", PASSWORD) as admin:
        assert log_in(admin).status_code == 401


def test_a_wrong_password_and_an_unknown_user_are_answered_alike(flexcore: FlexCoreProcess) -> None:
    with session(flexcore) as client:
        wrong, unknown = log_in(client, password="wrong"), log_in(client, name="Nobody At All")
        assert (wrong.status_code, unknown.status_code) == (401, 401)
        assert wrong.json()["detail"] == unknown.json()["detail"]
        assert wrong.headers["www-authenticate"].startswith("Bearer")
        assert log_in(client, password="x" * 1025).status_code == 400
        huge = client.post("/auth/login", json={"username": "admin", "password": "x" * 100_000})
        assert huge.status_code == 413

        def refusals() -> list[str]:
            records = client.get(AUDIT, params={"action": "login"}).json()["audit"]
            return [record["target"] for record in records if record["outcome"] == "refused"]

        wait_until(lambda: len(refusals()) == 2, 5, "their records")
        assert sorted(refusals()) == ["a user that there is not", "user admin"]


def test_every_node_knows_sessions_of_every_node_and_their_end(
    flexcore: FlexCoreProcess, second: FlexCoreProcess
) -> None:
    with session(flexcore) as here, second.client(token=None) as there:
        there.headers["authorization"] = here.headers["authorization"]
        assert there.get("/auth/me").json()["name"] == "admin"
        assert here.post("/auth/logout").status_code == 204
        assert here.get("/auth/me").status_code == 401
        wait_until(lambda: there.get("/auth/me").status_code == 401, 2, "the end of the session on the other node")


@pytest.mark.parametrize(
    ("change", "works"),
    [({"disabled": True}, False), ({"password": "another long password"}, False), ({"role": "operator"}, True)],
)
def test_a_change_of_a_user_reaches_every_node(
    flexcore: FlexCoreProcess, second: FlexCoreProcess, change: dict[str, object], works: bool
) -> None:
    with flexcore.client() as api:
        add_user(api, "vera")
        with session(second, "vera", PASSWORD) as vera:
            assert vera.post(f"{TOKENS}", json={"name": "t", "role": "viewer"}).status_code == 403
            assert api.put(f"{USERS}/vera", json=change).status_code == 200
            if works:
                wait_until(lambda: vera.get("/auth/me").json()["role"] == "operator", 2, "the new role")
            else:
                wait_until(lambda: vera.get("/auth/me").status_code == 401, 2, "the end of the session")
                assert log_in(vera, "vera", PASSWORD).status_code == 401


def test_a_token_works_on_every_node_until_it_is_revoked(flexcore: FlexCoreProcess, second: FlexCoreProcess) -> None:
    with flexcore.client() as api, second.client(token=None) as there:
        made = api.post(TOKENS, json={"name": "deploy", "role": "operator"}).json()
        there.headers["authorization"] = f"Bearer {made['token']}"
        me = there.get("/auth/me").json()
        assert me == {"name": "api_token/deploy", "role": "operator", "kind": "token"}
        assert api.post(TOKENS, json={"name": "deploy", "role": "viewer"}).status_code == 409
        listed = api.get(TOKENS).json()
        assert (listed["total"], listed["tokens"][0]["name"], listed["tokens"][0]["role"]) == (1, "deploy", "operator")
        assert made["token"] not in str(listed)
        assert there.post(TOKENS, json={"name": "x", "role": "operator"}).status_code == 403
        assert api.delete(f"{TOKENS}/{made['id']}").status_code == 204
        wait_until(lambda: there.get("/auth/me").status_code == 401, 2, "the end of the token")
        assert api.delete(f"{TOKENS}/{made['id']}").status_code == 404
        assert api.delete(f"{TOKENS}/no-id%00").status_code == 404


def test_a_token_is_never_more_than_its_owner(flexcore: FlexCoreProcess) -> None:
    with flexcore.client() as api:
        add_user(api, "ada", "admin")
        add_user(api, "bob", "admin")
        with session(flexcore, "ada", PASSWORD) as ada, flexcore.client(token=None) as program:
            made = ada.post(TOKENS, json={"name": "ci", "role": "admin"}).json()
            program.headers["authorization"] = f"Bearer {made['token']}"
            assert program.get("/auth/me").json()["role"] == "admin"
            assert api.put(f"{USERS}/ada", json={"role": "viewer"}).status_code == 200
            assert program.get("/auth/me").json()["role"] == "viewer"
            assert api.put(f"{USERS}/ada", json={"disabled": True}).status_code == 200
            assert program.get("/auth/me").status_code == 401
            assert api.put(f"{USERS}/ada", json={"disabled": False}).status_code == 200
            assert program.get("/auth/me").json()["name"] == "ada/ci"
            assert api.delete(f"{USERS}/ada").status_code == 204
            assert program.get("/auth/me").status_code == 401
            assert api.get(TOKENS).json()["total"] == 0


def test_a_token_expires(flexcore: FlexCoreProcess) -> None:
    with flexcore.client() as api, flexcore.client(token=None) as program:
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        assert api.post(TOKENS, json={"name": "p", "role": "viewer", "expires_at": past}).status_code == 400
        soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        made = api.post(TOKENS, json={"name": "s", "role": "viewer", "expires_at": soon}).json()
        program.headers["authorization"] = f"Bearer {made['token']}"
        assert program.get("/auth/me").status_code == 200
        wait_until(lambda: program.get("/auth/me").status_code == 401, 5, "the end of the token")
        assert "expired" in program.get("/auth/me").json()["detail"]


def test_the_last_admin_stays(flexcore: FlexCoreProcess) -> None:
    with session(flexcore) as admin:
        add_user(admin, "vera")
        assert admin.put(f"{USERS}/vera", json={"disabled": True}).status_code == 200
        for change in ({"role": "viewer"}, {"disabled": True}):
            assert admin.put(f"{USERS}/admin", json=change).status_code == 409
        assert admin.delete(f"{USERS}/admin").status_code == 409
        add_user(admin, "bob", "admin")
        assert admin.delete(f"{USERS}/admin").status_code == 204
        assert admin.get("/auth/me").status_code == 401


def test_users_are_checked(flexcore: FlexCoreProcess) -> None:
    with flexcore.client() as api:
        good = {"name": "ada", "password": PASSWORD, "role": "viewer"}
        for wrong in (
            {"name": "Ada"},
            {"name": "api_token"},
            {"password": "short"},
            {"password": "a" * 20},
            {"role": "x"},
        ):
            refused = api.post(USERS, json={**good, **wrong})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, next(iter(wrong)))
            assert wrong.get("password", "?") not in refused.text
        assert api.post(USERS, json=good).status_code == 201
        assert api.post(USERS, json=good).status_code == 409
        for answer in (api.get(f"{USERS}/eve"), api.put(f"{USERS}/eve", json={}), api.delete(f"{USERS}/%00")):
            assert answer.status_code == 404


def test_users_change_their_own_passwords(flexcore: FlexCoreProcess) -> None:
    with flexcore.client() as api:
        add_user(api, "vera")
        assert api.post("/auth/password", json={"present_password": "x", "new_password": PASSWORD}).status_code == 409
        assert api.post("/auth/logout").status_code == 409
    with session(flexcore, "vera", PASSWORD) as vera:
        new = "quite another password"
        body = {"present_password": "wrong", "new_password": new}
        assert vera.post("/auth/password", json=body).status_code == 403
        assert vera.post("/auth/password", json={**body, "present_password": PASSWORD}).status_code == 204
        assert vera.get("/auth/me").status_code == 401
        assert log_in(vera, "vera", new).status_code == 200


def test_logins_are_throttled_on_all_nodes_and_the_right_one_waits_too(
    flexcore: FlexCoreProcess, second: FlexCoreProcess
) -> None:
    with session(flexcore) as here, second.client(token=None) as there:
        add_user(here, "vera")
        assert [log_in(client, "vera", "wrong").status_code for client in (here, there) * 3] == [401] * 6
        for client in (here, there):
            wait_until(lambda client=client: log_in(client, "vera", "wrong").status_code == 429, 10, "a refusal")
        waiting = log_in(there, "vera", PASSWORD)
        assert waiting.status_code == 429
        assert waiting.json()["type"].endswith("/too-many-attempts")
        assert 1 <= int(waiting.headers["retry-after"]) <= 60
        assert log_in(here).status_code == 200
        wait_until(lambda: log_in(here, "vera", PASSWORD).status_code == 200, 10, "the end of the pause")


def test_a_token_that_is_no_good_is_told_apart_from_none(flexcore: FlexCoreProcess) -> None:
    with flexcore.client(token=None) as client:
        assert client.get(USERS).headers["www-authenticate"] == 'Bearer realm="flexcore"'
        for credentials in ("Bearer x", "Bearer fct_" + "x" * 43, "Bearer a.b.c", "Bearer " + "x" * 60_000):
            refused = client.get(USERS, headers={"authorization": credentials})
            assert refused.status_code == 401
            assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        assert client.get(USERS, headers={"authorization": "Basic YTpi"}).status_code == 401


def test_health_can_be_closed(environ: dict[str, str]) -> None:
    with running({**environ, "FLEXCORE_OPEN_HEALTH": "false"}) as process, process.client(token=None) as stranger:
        for path in ("/health", "/health/live", "/health/ready", "/metrics", "/info"):
            assert stranger.get(path).status_code == 401
        assert stranger.get("/openapi.json").status_code == 200
        with process.client() as api:
            assert api.get("/health").status_code == 200


def test_uses_of_tokens_are_noted_when_the_node_ends(environ: dict[str, str], flexcore: FlexCoreProcess) -> None:
    with flexcore.client() as api:
        made = api.post(TOKENS, json={"name": "ci", "role": "viewer"}).json()
        assert api.get(TOKENS).json()["tokens"][0]["last_used"] is None
        with running({**environ, "FLEXCORE_NODE_ID": "core2"}) as other, other.client(token=made["token"]) as program:
            assert program.get("/auth/me").status_code == 200
            other.signal(signal.SIGTERM)
            assert other.wait() == 0
        assert api.get(TOKENS).json()["tokens"][0]["last_used"] is not None
