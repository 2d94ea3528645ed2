"""The HTTP edge: routing, validation, access, problem documents, correlation ids."""

import datetime
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from flexcore.domain.errors import (
    Conflict,
    ExecutionKilled,
    ExecutionTimedOut,
    FlexCoreError,
    InvalidInput,
    NotFound,
    PluginFailed,
    TooBusy,
    Unavailable,
    VersionConflict,
)

Send = Callable[..., httpx.Response]
FailWith = Callable[[Exception], None]
VIEWER_TOKEN = "the-token-of-somebody-who-only-reads"
MADE_ID = "0198f000-0000-7000-8000-000000000000"


def assert_problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"https://flexcore.flext.sh/problems/{slug}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["correlation_id"] == response.headers["x-correlation-id"]
    assert problem["timestamp"].endswith("Z")
    assert datetime.datetime.fromisoformat(problem["timestamp"])
    return problem


def test_a_valid_request_reaches_its_handler_with_its_types(send: Send) -> None:
    response = send("POST", "/things/a-b", json={"name": "n", "box": {"width": 3}})
    assert response.status_code == 200
    assert response.json()["path"] == {"id": "a-b"}
    assert response.json()["body"] == {"name": "n", "box": {"width": 3}}
    assert send("GET", "/open?limit=7&detail=true").json()["query"] == {"limit": 7, "detail": True}


def test_defaults_of_the_query(send: Send) -> None:
    assert send("GET", "/open").json()["query"] == {"limit": 5, "detail": False}


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("limit=11", "limit", "expected int <= 10"),
        ("limit=0", "limit", "expected int >= 1"),
        ("limit=x", "limit", "expected int"),
        ("limit=", "limit", "expected int"),
        ("detail=maybe", "detail", "expected bool"),
        ("limits=1", "limits", "unknown; known are limit, detail"),
        ("limit=1&limit=2", "limit", "given more than once"),
    ],
)
def test_a_wrong_parameter_is_a_400_that_names_it(send: Send, query: str, field: str, message: str) -> None:
    problem = assert_problem(send("GET", f"/open?{query}"), 400, "invalid-request")
    assert problem["errors"] == [{"field": field, "message": message}]
    assert problem["instance"] == "/open"


@pytest.mark.parametrize("query", ["limit=%ff", "&".join(f"p{n}=" for n in range(200))])
def test_a_broken_query_string_is_a_400(send: Send, query: str) -> None:
    assert_problem(send("GET", f"/open?{query}"), 400, "invalid-request")


def test_an_operation_without_parameters_refuses_any(send: Send) -> None:
    problem = assert_problem(send("GET", "/things/a?x=1"), 400, "invalid-request")
    assert problem["errors"] == [{"field": "x", "message": "unknown; known are none"}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": 1}, "name"),
        ({}, "name"),
        ({"name": "n", "colour": "red"}, "colour"),
        ({"name": "n", "box": {"width": 10}}, "box.width"),
        ({"name": "n", "box": {}}, "box.width"),
        ({"name": "n", "box": {"width": 1, "depth": 1}}, "box.depth"),
        ([], "body"),
    ],
)
def test_a_wrong_body_is_a_400_that_names_the_field(send: Send, body: object, field: str) -> None:
    problem = assert_problem(send("POST", "/things/a", json=body), 400, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == [field]


@pytest.mark.parametrize("content", [b"", b"{", b"no", b'{"name": "\xff"}', b"[" * 900])
def test_a_body_that_is_not_json_is_a_400(send: Send, content: bytes) -> None:
    response = send("POST", "/things/a", content=content, headers={"content-type": "application/json"})
    problem = assert_problem(response, 400, "invalid-request")
    assert problem["errors"][0]["field"] == "body"


@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonp", "", "application/xml; a=application/json"])
def test_another_content_type_is_a_415(send: Send, content_type: str) -> None:
    response = send("POST", "/things/a", content=b'{"name": "n"}', headers={"content-type": content_type})
    assert_problem(response, 415, "unsupported-media-type")


def test_json_may_come_with_a_charset(send: Send) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert send("POST", "/things/a", content=b'{"name": "n"}', headers=headers).status_code == 200


def test_a_body_that_says_it_is_too_large_is_a_413(send: Send) -> None:
    response = send("POST", "/things/a", json={"name": "n" * 1000})
    assert_problem(response, 413, "body-too-large")
    assert response.headers["connection"] == "close"


def test_a_chunked_body_that_turns_out_too_large_is_a_413(send: Send) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    response = send("POST", "/things/a", content=chunks(), headers={"content-type": "application/json"})
    assert_problem(response, 413, "body-too-large")


def test_an_unknown_path_is_a_404_and_a_trailing_slash_is_another_path(send: Send) -> None:
    assert_problem(send("GET", "/nope"), 404, "not-found")
    assert_problem(send("GET", "/open/"), 404, "not-found")


def test_a_wrong_method_is_a_405_with_allow(send: Send) -> None:
    response = send("DELETE", "/things/a")
    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


def test_head_is_served_where_get_is(send: Send) -> None:
    assert send("HEAD", "/open").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "Basic a-token-of-more-than-24-characters"},
        {"authorization": "a-token-of-more-than-24-characters"},
    ],
)
def test_without_the_token_it_is_a_401_with_a_challenge(send: Send, headers: dict[str, str]) -> None:
    response = send("GET", "/things/a", authorized=False, headers=headers)
    assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith('Bearer realm="flexcore"')


def test_the_scheme_of_the_token_has_no_case(send: Send) -> None:
    headers = {"authorization": "bearer a-token-of-more-than-24-characters"}
    assert send("GET", "/things/a", authorized=False, headers=headers).status_code == 200


def test_an_open_operation_asks_nobody(send: Send) -> None:
    assert send("GET", "/open", authorized=False).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "slug", "headers"),
    [
        (NotFound("gone"), 404, "not-found", {}),
        (Conflict("no"), 409, "conflict", {}),
        (VersionConflict("no"), 409, "version-conflict", {}),
        (TooBusy("full", 3), 429, "too-busy", {"retry-after": "3"}),
        (Unavailable("postgresql", "down", 2), 503, "unavailable", {"retry-after": "2"}),
    ],
)
def test_failures_become_problems(
    send: Send, fail_with: FailWith, error: FlexCoreError, status: int, slug: str, headers: dict[str, str]
) -> None:
    fail_with(error)
    response = send("GET", "/things/a")
    assert assert_problem(response, status, slug)["detail"] == str(error)
    assert headers.items() <= dict(response.headers).items()


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (PluginFailed("broke", "e-1"), 500, "plugin-failed"),
        (ExecutionKilled("took too much memory", "e-1"), 500, "execution-killed"),
        (ExecutionTimedOut("slow", "e-1"), 504, "execution-timed-out"),
    ],
)
def test_failed_executions_say_which(send: Send, fail_with: FailWith, error: Exception, status: int, slug: str) -> None:
    fail_with(error)
    assert assert_problem(send("GET", "/things/a"), status, slug)["execution_id"] == "e-1"


def test_a_failure_that_nobody_foresaw_keeps_its_words_to_the_log(
    send: Send, fail_with: FailWith, caplog: pytest.LogCaptureFixture
) -> None:
    fail_with(FlexCoreError("hunter2"))
    assert "hunter2" not in str(assert_problem(send("GET", "/things/a"), 500, "internal-error"))
    assert "FlexCoreError: hunter2" in caplog.text


def test_the_log_line_of_a_problem_says_what_it_was(
    send: Send, fail_with: FailWith, caplog: pytest.LogCaptureFixture
) -> None:
    fail_with(Unavailable("postgresql", "PostgreSQL does not answer"))
    send("GET", "/things/a")
    (record,) = [record for record in caplog.records if record.name == "flexcore.http"]
    assert (record.levelname, record.__dict__["problem"]) == ("WARNING", "PostgreSQL does not answer")


def test_invalid_input_lists_its_fields(send: Send, fail_with: FailWith) -> None:
    fail_with(InvalidInput.field("limit", "must be even"))
    problem = assert_problem(send("GET", "/things/a"), 400, "invalid-request")
    assert problem["errors"] == [{"field": "limit", "message": "must be even"}]


def test_a_defect_is_a_500_that_tells_the_log_and_not_the_caller(
    send: Send, fail_with: FailWith, caplog: pytest.LogCaptureFixture
) -> None:
    fail_with(RuntimeError("postgres://u:hunter2@h /srv/secret.py"))
    response = send("GET", "/things/a")
    problem = assert_problem(response, 500, "internal-error")
    for part in ("hunter2", "secret.py", "RuntimeError", "Traceback"):
        assert part not in json.dumps(problem)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "0198f000-0000-7000-8000-000000000001", "trace:1.2_3"])
def test_a_correlation_id_comes_back(send: Send, given: str) -> None:
    response = send("GET", "/things/a", headers={"x-correlation-id": given})
    assert response.headers["x-correlation-id"] == given
    assert response.json()["correlation_id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\tb", '"', "é".encode().decode("latin-1"), "-a"])
def test_an_unfit_correlation_id_is_replaced(send: Send, given: str) -> None:
    response = send("GET", "/things/a", headers={"x-correlation-id": given.encode("latin-1")})
    assert response.headers["x-correlation-id"] == MADE_ID


def test_requests_are_counted_by_route_and_never_by_path(send: Send, metrics: Any) -> None:
    send("GET", "/things/a")
    send("GET", "/things/b")
    send("GET", "/random-1")
    send("BREW", "/things/a")
    assert metrics.requests == [
        ("/things/{id}", "GET", 200),
        ("/things/{id}", "GET", 200),
        ("unmatched", "GET", 404),
        ("/things/{id}", "other", 405),
    ]


def test_each_request_is_one_log_line(send: Send, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flexcore.http")
    send("GET", "/things/a")
    (record,) = [record for record in caplog.records if record.name == "flexcore.http"]
    assert record.getMessage() == "GET /things/a 200"
    assert record.__dict__["status"] == 200
    assert "token" not in str(record.__dict__)


@pytest.mark.parametrize(("path", "body"), [("/touch", None), ("/note", {"text": "none"})])
def test_a_body_that_is_not_needed_may_be_left_out_or_empty(send: Send, path: str, body: Any) -> None:
    for arguments in ({}, {"json": {}}):
        response = send("POST", path, **arguments)
        assert (response.status_code, response.json()["body"]) == (200, body)


@pytest.mark.parametrize("path", ["/touch", "/note"])
def test_a_body_that_is_not_needed_is_looked_at_nevertheless(send: Send, path: str) -> None:
    assert_problem(send("POST", path, json={"colour": "red"}), 400, "invalid-request")
    assert_problem(
        send("POST", path, content=b"{", headers={"content-type": "application/json"}), 400, "invalid-request"
    )
    assert_problem(send("POST", path, content=b"{}"), 415, "unsupported-media-type")


def test_a_caller_without_the_role_is_refused_before_the_body_is_looked_at(send: Send) -> None:
    assert send("GET", "/things/a", token=VIEWER_TOKEN).json()["actor"] == "vera"
    refused = send("POST", "/things/a", token=VIEWER_TOKEN, json={"no": "parcel"})
    problem = assert_problem(refused, 403, "forbidden")
    assert problem["detail"] == "This needs the role admin; vera has the role viewer."
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert send("POST", "/things/a", json={"name": "n"}).json()["actor"] == "api_token"
    assert send("GET", "/open", authorized=False).json()["actor"] == "anonymous"
