"""What one FlexCore is asked, to the letter, and what a caller is told when it has no good answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flexcore_client import client
from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.http_message import Body
from flexcore_client.log_query import LogQuery

from tests.doubles import dialects
from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import NOT_FOUND, HttpDouble, Reply, Routes, Seen, serving
from tests.unit.client import asking

PLUGINS = "/api/v1/flexcore/plugins"
NEXT_LOG = "Read the server's log for the cause."
NEXT_OFFER = "Use a server that offers it, or another source."
NEXT_VERSION = "Check the server's version, or force its API with the option api."


def ask(
    routes: Routes, work: Callable[[FlexCoreClient], Awaitable[Any]], api: str = "auto", clock: FakeClock | None = None
) -> tuple[Any, HttpDouble]:
    with serving(routes) as double:
        return asking.ask(double, work, clock, api), double


def refusal_of(
    routes: Routes, work: Callable[[FlexCoreClient], Awaitable[Any]], api: str = "auto"
) -> tuple[ClientError, HttpDouble]:
    async def refused(client: FlexCoreClient) -> ClientError:
        with pytest.raises(ClientError) as caught:
            await work(client)
        return caught.value

    return ask(routes, refused, api)


@pytest.mark.parametrize(
    ("reply", "kind", "reason", "next_step"),
    [
        (
            Reply({"detail": "not you"}, 401),
            "http_status",
            "401, the token is missing or not accepted",
            "Give a valid token (option token).",
        ),
        (
            Reply({"detail": "no"}, 403),
            "http_status",
            "403, the token does not allow this: no",
            "Use a token with a role that allows this.",
        ),
        (
            Reply("", 403),
            "http_status",
            "403, the token does not allow this",
            "Use a token with a role that allows this.",
        ),
        (Reply("", 300), "http_status", "300, a redirect, which is not followed", "Give FlexCore's own address."),
        (Reply("", 399), "http_status", "399, a redirect, which is not followed", "Give FlexCore's own address."),
        (Reply({"detail": "no such run"}, 404), "api_error", "answered 404: no such run", "Check the request."),
        (Reply({"error": "boom", "details": "why"}, 500), "api_error", "answered 500: boom: why", NEXT_LOG),
        (Reply("<h1>oops</h1>", 499), "http_status", "answered 499: <h1>oops</h1>", "Check the request."),
        (Reply("", 501), "http_status", "answered 501: an empty body", NEXT_LOG),
        (NOT_FOUND, "unsupported", "this server does not offer POST /x: 404", NEXT_OFFER),
        (Reply({"detail": "GET it"}, 405), "unsupported", "this server does not offer POST /x: 405", NEXT_OFFER),
    ],
)
def test_errors_are_told_whole(reply: Reply, kind: str, reason: str, next_step: str) -> None:
    error, double = refusal_of({"POST /x": reply}, lambda client: client.change("POST", "/x"))
    what = f"Asking {double.url}" if kind == "unsupported" else f"POST {double.url}/x"
    assert str(error) == f"{what}: {reason}. {next_step}"
    assert (error.kind.value, error.reason, error.next_step) == (kind, reason, next_step)
    assert error.http_status == (None if kind == "unsupported" else reply.status)


@pytest.mark.parametrize(
    ("work", "reply", "what", "reason"),
    [
        (lambda client: client.find("/x"), Reply([]), "Asking {url}", "is no JSON object"),
        (lambda client: client.change("POST", "/x"), Reply(7), "Asking {url}", "is no JSON object"),
        (lambda client: client.pages("/x", "runs"), Reply({}), "Reading the runs of {url}", "has no list of runs"),
        (lambda client: client.logs(LogQuery()), Reply({}), "GET {url}/api/v1/flexcore/logs", "has no list of logs"),
    ],
)
def test_an_answer_of_another_form_is_told_whole(
    work: Callable[[FlexCoreClient], Awaitable[Any]], reply: Reply, what: str, reason: str
) -> None:
    routes = {"/x": reply, "POST /x": reply, "/api/v1/flexcore/logs": reply}
    error, double = refusal_of(routes, work)
    assert str(error) == f"{what.format(url=double.url)}: the answer {reason}. {NEXT_VERSION}"
    assert (error.kind, error.reason) == (FailureKind.BAD_BODY, f"the answer {reason}")


def test_a_text_that_an_answer_has_to_hold() -> None:
    async def work(client: FlexCoreClient) -> str:
        return client.text(await client.get("/x"), "id")

    assert ask({"/x": Reply({"id": "a"})}, work)[0] == "a"
    for document in ({}, {"id": 7}):
        error, double = refusal_of({"/x": Reply(document)}, work)
        assert str(error) == f"Asking {double.url}: the answer has no id. {NEXT_VERSION}"


def test_a_change_carries_its_document_its_key_and_nothing_else() -> None:
    async def work(client: FlexCoreClient) -> list[Any]:
        return [
            await client.change("POST", "/x", {"a": 1}, params={"dry": "true"}, key="key-1"),
            await client.change("PUT", "/x", Body("text/plain", 2, lambda: iter([b"ok"]))),
            await client.change("DELETE", "/x"),
        ]

    done = Reply({"done": True})
    answers, double = ask({"POST /x": done, "PUT /x": done, "DELETE /x": Reply("", 204)}, work)
    assert answers == [{"done": True}, {"done": True}, {}]
    assert [(seen.method, seen.query, seen.body) for seen in double.seen] == [
        ("POST", {"dry": "true"}, b'{"a":1}'),
        ("PUT", {}, b"ok"),
        ("DELETE", {}, b""),
    ]
    sent = ("content-type", "idempotency-key", "x-correlation-id")
    assert [tuple(seen.headers.get(name) for name in sent) for seen in double.seen] == [
        ("application/json", "key-1", "key-1"),
        ("text/plain", None, None),
        (None, None, None),
    ]


@pytest.mark.parametrize(
    ("method", "options", "asked"),
    [
        ("POST", {}, 1),
        ("POST", {"key": "key-1"}, 3),
        ("POST", {"idempotent": True}, 3),
        ("PUT", {}, 3),
        ("PUT", {"idempotent": False}, 1),
        ("PUT", {"total": 10.0}, 1),
    ],
)
def test_a_change_is_repeated_where_it_does_no_harm_and_within_its_time(
    method: str, options: dict[str, Any], asked: int
) -> None:
    async def work(client: FlexCoreClient) -> ClientError:
        with pytest.raises(ClientError) as caught:
            await client.change(method, "/x", **options)
        return caught.value

    error, double = ask({f"{method} /x": Reply("", 503, {"Retry-After": "15"})}, work)
    assert (error.http_status, len(double.seen)) == (503, asked)


def test_what_is_found_and_what_is_not() -> None:
    async def work(client: FlexCoreClient) -> list[Any]:
        return [await client.find("/there"), await client.find("/gone"), await client.find("/ill", also=(503,))]

    routes = {
        "/there": Reply({"a": 1}),
        "/gone": Reply({"detail": "there is none"}, 404),
        "/ill": Reply({"b": 2}, 503),
    }
    found, double = ask(routes, work)
    assert found == [{"a": 1}, None, {"b": 2}]
    assert double.paths == ["/there", "/gone", "/ill"]


def test_a_route_that_is_not_there_is_not_a_thing_that_is_not() -> None:
    error, _ = refusal_of({}, lambda client: client.find("/x"))
    assert error.kind is FailureKind.UNSUPPORTED


def test_a_list_is_read_page_by_page_until_one_is_not_full() -> None:
    def page(seen: Seen) -> Reply:
        offset = int(seen.query["offset"])
        return Reply({"runs": list(range(120))[offset : offset + int(seen.query["limit"])]})

    runs, double = ask({"/x": page}, lambda client: client.pages("/x", "runs", {"state": "done"}))
    assert runs == list(range(120))
    assert [seen.query for seen in double.seen] == [
        {"state": "done", "limit": "50", "offset": offset} for offset in ("0", "50", "100")
    ]


def test_a_list_that_never_ends_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_PAGES", 3)
    runs, double = ask({"/x": Reply({"runs": [0] * 50})}, lambda client: client.pages("/x", "runs"))
    assert (len(runs), len(double.seen)) == (150, 3)


def test_one_plugin_is_asked_for_by_its_name_whatever_that_is() -> None:
    paths: dict[str, Reply] = {f"{PLUGINS}/a%2Fb%20c": Reply({"id": "a/b c"})}
    plugin, double = ask(paths, lambda client: client.plugin("a/b c"), "flexcore-v1")
    assert (plugin.id, double.paths) == ("a/b c", [f"{PLUGINS}/a%2Fb%20c"])


def test_what_a_server_says_of_itself() -> None:
    async def work(client: FlexCoreClient) -> list[Any]:
        return [await client.about(), await client.about(), (await client.dialect()).name, client.evidence]

    told, double = ask(dialects.flexcore_v1(), work)
    info = {"service": "flexcore", "version": "0.1.0+abc", "node_id": "core1", "api_versions": ["v1"]}
    assert told == [info, info, "flexcore-v1", "/info has api_versions"]
    assert sorted(double.paths) == ["/health", "/info"], "who it is does not change while it is asked"


@pytest.mark.parametrize("missing", [NOT_FOUND, Reply({"detail": "no such route"}, 404)])
def test_a_server_without_a_page_of_itself_says_it_beside_its_health(missing: Reply) -> None:
    routes = {"/info": missing, "/health": Reply({"status": "unhealthy"}, 503)}
    said, double = ask(routes, lambda client: client.about())
    assert (said, double.paths) == ({"status": "unhealthy"}, ["/info", "/health"])


@pytest.mark.parametrize("reply", [Reply({"detail": "no"}, 401), Reply({"detail": "no"}, 500), Reply("<h1>")])
def test_a_server_that_will_not_say_who_it_is(reply: Reply) -> None:
    error, double = refusal_of({"/info": reply, "/health": Reply({})}, lambda client: client.about())
    assert error.http_status == reply.status
    assert set(double.paths) == {"/info"}


def test_who_waits_for_a_server_waits_by_the_clock_of_its_calls() -> None:
    async def pause(client: FlexCoreClient) -> None:
        await client.clock.sleep(5)

    clock = FakeClock()
    ask({}, pause, clock=clock)
    assert clock.slept == [5]


def test_a_dialect_that_is_forced_is_not_looked_for() -> None:
    async def work(client: FlexCoreClient) -> tuple[str, str]:
        return (await client.dialect()).name, client.evidence

    told, double = ask({}, work, "gin-2025")
    assert (told, double.paths) == (("gin-2025", "forced by api: gin-2025"), [])


def test_a_server_that_nobody_knows_is_told_with_what_was_tried() -> None:
    error, double = refusal_of({"/health": Reply({"status": "ill"}, 503)}, lambda client: client.dialect())
    tried = "; ".join(f"{path}: this server does not offer GET {path}: 404" for path in ("/info", "/api/v1/plugins"))
    assert str(error) == (f"Asking {double.url}: this is no FlexCore API that the client knows ({tried}). {NEXT_OFFER}")


def test_what_only_our_own_dialect_offers() -> None:
    ask({}, lambda client: client.require("tokens"), "flexcore-v1")
    error, double = refusal_of({}, lambda client: client.require("tokens"), "seed-2025")
    assert str(error) == f"Asking {double.url}: this server (seed-2025) does not offer tokens. {NEXT_OFFER}"
    assert error.kind is FailureKind.UNSUPPORTED


def test_plugins_that_a_build_does_not_list() -> None:
    error, double = refusal_of({}, lambda client: client.plugins(), "gin-2025")
    assert str(error) == (
        f"Asking {double.url}: this server (gin-2025) does not offer plugins: /api/v1/plugins/list is 404. {NEXT_OFFER}"
    )


@pytest.mark.parametrize(
    ("query", "given", "found", "more"),
    [
        (LogQuery(lines=1, level="error"), 5, 1, False),
        (LogQuery(lines=2, level="error"), 5, 1, True),
        (LogQuery(lines=2, level="error"), 4, 1, False),
    ],
)
def test_whether_older_records_might_have_been_wanted_too(
    query: LogQuery, given: int, found: int, more: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_LINES", 5)
    records = [{"level": "debug", "message": "x"}] * (given - 1) + [{"level": "error", "message": "y"}]
    read, double = ask({"/api/v1/flexcore/logs": Reply({"logs": records})}, lambda client: client.log_read(query))
    assert (len(read[0]), read[1]) == (found, more)
    assert double.seen[0].query == {"lines": str(query.lines), "level": "error"}


def test_logs_where_only_the_guides_route_is() -> None:
    routes = {"/api/v1/logs": Reply({"logs": ["old", "new"]})}
    records, double = ask(routes, lambda client: client.logs(LogQuery(lines=1, level="error")))
    assert [record.message for record in records] == ["new"]
    assert [(seen.path, seen.query) for seen in double.seen] == [
        ("/api/v1/flexcore/logs", {"lines": "1", "level": "error"}),
        ("/api/v1/logs", {"lines": "1"}),
    ]


def test_no_logs_at_all() -> None:
    error, double = refusal_of({}, lambda client: client.logs(LogQuery()))
    assert str(error) == f"Asking {double.url}: this server does not offer its logs over HTTP. {NEXT_OFFER}"


def test_another_dialects_answer_may_be_anything() -> None:
    answer, double = ask({"POST /run": Reply([1])}, lambda client: client.post_any("/run", {"a": 1}, 3))
    assert (answer, double.seen[0].json) == ([1], {"a": 1})
