"""Calls: who asks, what is asked again, when a server is left alone, and what never leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from flexcore_client.address import parse_address
from flexcore_client.breaker import CircuitBreaker
from flexcore_client.clock import Deadline
from flexcore_client.credentials import Login
from flexcore_client.errors import ClientError, FailureKind, InputError
from flexcore_client.retry import RetryPolicy
from flexcore_client.transport import Answer, HttpTransport, Timeouts, json_body
from flexcore_client.transport_errors import NEXT_REFUSED

from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import HttpDouble, Reply, Routes, serving

PASSWORD = "canary-password-4711"
LOGIN = Login("operator", PASSWORD)


def ask(
    routes: Routes, work: Callable[[HttpTransport], Awaitable[Any]], clock: FakeClock | None = None, **options: Any
) -> tuple[Any, HttpDouble]:
    async def run(double: HttpDouble) -> Any:
        async with HttpTransport(
            parse_address(double.url), timeouts=Timeouts(10, 10, 60), clock=clock or FakeClock(), **options
        ) as transport:
            return await work(transport)

    with serving(routes) as double:
        return asyncio.run(run(double)), double


def granted(bearer: str = "granted-token-1", lasts: Any = 600) -> Reply:
    return Reply({"access_token": bearer, "token_type": "bearer", "expires_in": lasts})


def test_a_login_is_exchanged_for_a_token_once() -> None:
    async def work(transport: HttpTransport) -> None:
        await transport.get("/x")
        await transport.get("/x")

    _, double = ask({"POST /auth/login": granted(), "/x": Reply({})}, work, login=LOGIN)
    assert double.paths == ["/auth/login", "/x", "/x"]
    assert double.seen[0].json == {"username": "operator", "password": PASSWORD}
    assert "authorization" not in double.seen[0].headers
    assert double.seen[2].headers["authorization"] == "Bearer granted-token-1"


@pytest.mark.parametrize("second", ["second-token", "first-token"])
def test_it_is_renewed_before_it_expires(second: str) -> None:
    clock, tokens = FakeClock(), iter(["first-token", second])

    async def work(transport: HttpTransport) -> None:
        for moment in (0.0, 470.0, 490.0):
            clock.elapsed = moment
            await transport.get("/x")

    routes: Routes = {"POST /auth/login": lambda _seen: granted(next(tokens)), "/x": Reply({})}
    _, double = ask(routes, work, clock, login=LOGIN)
    assert [seen.headers.get("authorization") for seen in double.seen if seen.path == "/x"] == [
        "Bearer first-token",
        "Bearer first-token",
        f"Bearer {second}",
    ]
    logins = [seen.headers for seen in double.seen if seen.path == "/auth/login"]
    assert ["authorization" in headers for headers in logins] == [False, False]


@pytest.mark.parametrize("lasts", [None, "soon", -1, 0])
def test_a_token_that_does_not_say_how_long_it_lasts_is_used_once(lasts: Any) -> None:
    async def work(transport: HttpTransport) -> None:
        await transport.get("/x")
        await transport.get("/x")

    _, double = ask({"POST /auth/login": granted(lasts=lasts), "/x": Reply({})}, work, login=LOGIN)
    assert double.paths == ["/auth/login", "/x"] * 2


def test_a_login_is_tried_again_as_it_changes_nothing() -> None:
    left = iter([Reply("", 503)])
    routes: Routes = {"POST /auth/login": lambda _seen: next(left, granted()), "/x": Reply({})}
    _, double = ask(routes, lambda transport: transport.get("/x"), login=LOGIN)
    assert double.paths == ["/auth/login", "/auth/login", "/x"]


def test_who_has_a_token_does_not_log_in() -> None:
    _, double = ask({"/x": Reply({})}, lambda transport: transport.get("/x"), login=LOGIN, token="a-token")
    assert [(seen.path, seen.headers["authorization"]) for seen in double.seen] == [("/x", "Bearer a-token")]


WITHOUT = "Read the server's log for the cause."


@pytest.mark.parametrize(
    ("reply", "kind", "reason", "next_step"),
    [
        (
            Reply({"detail": "no"}, 401),
            "http_status",
            "401, the username or password is wrong",
            "Give valid ones (options username and password).",
        ),
        (
            Reply("404 page not found", 404),
            "unsupported",
            "this server does not offer a login",
            "Use a token (option token), or none.",
        ),
        (
            Reply({}, 429, {"Retry-After": "90"}),
            "http_status",
            "429, too many attempts to log in",
            "Wait before the next attempt.",
        ),
        (Reply({"access_token": "a-token"}, 400), "http_status", "answered 400 without a token", WITHOUT),
        (Reply("<html>"), "http_status", "answered 200 without a token", WITHOUT),
        (Reply({"access_token": 7}), "http_status", "answered 200 without a token", WITHOUT),
        (Reply({"access_token": "two words"}), "http_status", "answered 200 without a token", WITHOUT),
        (Reply([1]), "http_status", "answered 200 without a token", WITHOUT),
    ],
)
def test_a_login_that_fails(reply: Reply, kind: str, reason: str, next_step: str) -> None:
    async def work(transport: HttpTransport) -> tuple[str, ClientError]:
        with pytest.raises(ClientError) as caught:
            await transport.get("/x")
        return transport.address.url, caught.value

    (url, error), _ = ask({"POST /auth/login": reply}, work, login=LOGIN)
    assert str(error) == f"Logging in at {url}: {reason}. {next_step}"
    assert (error.kind.value, error.reason, error.http_status) == (kind, reason, reply.status)
    assert PASSWORD not in str(error)


def test_an_echoed_secret_is_blotted_out() -> None:
    def echo(seen: Any) -> Reply:
        return Reply({"detail": f"{PASSWORD} and {seen.headers['authorization']}"}, 400)

    answer, _ = ask({"POST /auth/login": granted(), "/x": echo}, lambda t: t.get("/x"), login=LOGIN)
    assert answer.json() == {"detail": "*** and Bearer ***"}


def test_a_request_says_who_asks_and_for_what_and_no_more() -> None:
    async def work(transport: HttpTransport) -> Answer:
        return await transport.request(
            "PUT", "/x", {"a": "1"}, json_body({"b": [1, "\xe9"]}), headers={"x-correlation-id": "7"}
        )

    answer, double = ask({"PUT /x": Reply({"good": True}, 201)}, work, FakeClock())
    assert [(seen.method, seen.path, seen.query, seen.body) for seen in double.seen] == [
        ("PUT", "/x", {"a": "1"}, b'{"b":[1,"\\u00e9"]}')
    ]
    assert double.seen[0].headers == {
        "host": f"127.0.0.1:{double.port}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "flexcore-client",
        "x-correlation-id": "7",
        "content-type": "application/json",
        "content-length": str(len(double.seen[0].body)),
    }
    assert (answer.method, answer.path, answer.status, answer.body, answer.elapsed_ms) == (
        "PUT",
        "/x",
        201,
        b'{"good": true}',
        0.0,
    )
    assert answer.headers["content-type"] == "application/json"


NEXT_BODY = "Check that the address is FlexCore's and not a proxy's or another service's."


@pytest.mark.parametrize(
    ("headers", "body", "shown"),
    [
        ({"content-type": "text/html; charset=utf-8"}, b"<h1>" + b"x" * 90, f"text/html that begins '<h1>{'x' * 76}'"),
        ({"content-type": "\x1btext"}, b"\xff", "text that begins '\ufffd'"),
        ({}, b"", "no content type, empty"),
        ({}, b"[" * 5000, f"no content type that begins '{'[' * 80}'"),
    ],
)
def test_an_answer_that_is_not_json_is_told_with_its_beginning(
    headers: dict[str, str], body: bytes, shown: str
) -> None:
    with pytest.raises(ClientError) as caught:
        Answer("GET", "/x", 203, headers, body, 1.0).json()
    error = caught.value
    assert str(error) == f"GET /x: answered 203 with a body that is not JSON ({shown}). {NEXT_BODY}"
    assert (error.kind, error.http_status) == (FailureKind.BAD_BODY, 203)


def failing_then_good(failures: int, status: int = 503) -> Routes:
    left = iter([Reply("", status)] * failures)
    routes: dict[str, Any] = {"POST /x": lambda _seen: next(left, Reply({}))}
    return {**routes, "PUT /x": routes["POST /x"], "DELETE /x": routes["POST /x"]}


@pytest.mark.parametrize(
    ("method", "options", "asked"),
    [
        ("POST", {}, 1),
        ("POST", {"idempotent": True}, 3),
        ("PUT", {}, 3),
        ("DELETE", {}, 3),
        ("PUT", {"idempotent": False}, 1),
    ],
)
def test_only_what_may_be_repeated_is(method: str, options: dict[str, Any], asked: int) -> None:
    _, double = ask(failing_then_good(2), lambda transport: transport.request(method, "/x", **options))
    assert len(double.seen) == asked


def test_a_write_that_found_nobody_is_not_repeated_either() -> None:
    clock = FakeClock()

    async def work(transport: HttpTransport) -> None:
        await transport.request("POST", "/x")

    async def run(url: str) -> None:
        async with HttpTransport(parse_address(url), clock=clock, breaker=CircuitBreaker(clock)) as transport:
            await work(transport)

    with serving({}) as double:
        url = double.url
    with pytest.raises(ClientError) as caught:
        asyncio.run(run(url))
    assert str(caught.value) == f"POST {url}/x: connection refused. {NEXT_REFUSED}"
    assert clock.slept == []


def test_the_pauses_grow_and_are_partly_random() -> None:
    clock, units = FakeClock(), iter([0.0, 1.0, 0.5, 0.0])
    policy = RetryPolicy(4, random_unit=lambda: next(units))
    ask(failing_then_good(4), lambda transport: transport.request("PUT", "/x"), clock, retry=policy)
    assert clock.slept == [0.05, 0.2, pytest.approx(0.3), 0.4]


NO_ANSWER = ClientError(FailureKind.REFUSED, what="GET x", reason="connection refused", next_step="Look.")


def breaker_after(failures: int, clock: FakeClock) -> CircuitBreaker:
    breaker = CircuitBreaker(clock)
    for _ in range(failures):
        breaker.check("GET x")
        breaker.failed(NO_ANSWER)
    return breaker


def test_the_breaker_lets_pass_until_the_fifth_failure_in_a_row() -> None:
    clock = FakeClock()
    breaker = breaker_after(4, clock)
    breaker.check("GET x")
    breaker.succeeded()
    for _ in range(5):
        breaker.check("GET x")
        breaker.failed(NO_ANSWER)
    with pytest.raises(
        ClientError, match="not asked after 5 failures in a row, the last one: connection refused"
    ) as caught:
        breaker.check("GET y")
    assert caught.value.kind is FailureKind.REFUSED
    assert "asked again in 60 s" in str(caught.value)
    assert not caught.value.transient


def test_a_refusal_of_the_breaker_is_told_like_the_failure_that_opened_it() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(clock)
    last = ClientError(
        FailureKind.HTTP_STATUS, what="GET x", reason="answered 503", next_step="Look.", phase="body", http_status=503
    )
    for _ in range(5):
        breaker.failed(last)
    clock.elapsed = 59.2
    with pytest.raises(ClientError) as caught:
        breaker.check("GET y")
    assert str(caught.value) == (
        "GET y: not asked after 5 failures in a row, the last one: answered 503. It is asked again in 1 s. Look."
    )
    assert (caught.value.phase, caught.value.http_status) == ("body", 503)


def test_after_a_minute_one_attempt_may_pass() -> None:
    clock = FakeClock()
    breaker = breaker_after(5, clock)
    clock.elapsed = 59.9
    with pytest.raises(ClientError):
        breaker.check("GET x")
    clock.elapsed = 60.0
    breaker.check("GET x")
    with pytest.raises(ClientError, match=r"asked again by a call that is under way\."):
        breaker.check("GET x")


def test_a_probe_that_fails_opens_it_again_and_one_that_succeeds_closes_it() -> None:
    clock = FakeClock()
    breaker = breaker_after(5, clock)
    clock.elapsed = 60.0
    breaker.check("GET x")
    breaker.failed(NO_ANSWER)
    with pytest.raises(ClientError, match="after 6 failures"):
        breaker.check("GET x")
    clock.elapsed = 120.0
    breaker.check("GET x")
    breaker.succeeded()
    breaker.check("GET x")
    breaker.check("GET x")


def test_a_probe_that_was_given_up_leaves_room_for_another() -> None:
    clock = FakeClock()
    breaker = breaker_after(5, clock)
    clock.elapsed = 60.0
    breaker.check("GET x")
    breaker.gave_up()
    breaker.check("GET x")


@pytest.mark.parametrize(("statuses", "asked"), [((500,) * 9, 5), ((500, 429, 404, 500, 500, 500, 500, 500, 200), 8)])
def test_server_errors_open_the_breaker_and_refusals_do_not(statuses: Sequence[int], asked: int) -> None:
    left, clock = iter(statuses), FakeClock()

    async def work(transport: HttpTransport) -> None:
        for _ in statuses:
            await transport.request("POST", "/x")

    async def run(double: HttpDouble) -> None:
        async with HttpTransport(parse_address(double.url), clock=clock, breaker=CircuitBreaker(clock)) as transport:
            await work(transport)

    with serving({"POST /x": lambda _seen: Reply("", next(left))}) as double:
        with pytest.raises(ClientError) as caught:
            asyncio.run(run(double))
        assert len(double.seen) == asked
    assert str(caught.value) == (
        f"POST {double.url}/x: not asked after 5 failures in a row, the last one: answered 500. "
        "It is asked again in 60 s. Read the server's log for the cause."
    )
    assert (caught.value.kind, caught.value.http_status) == (FailureKind.HTTP_STATUS, 500)


def test_a_status_that_the_caller_takes_for_an_answer_is_neither_repeated_nor_a_failure() -> None:
    clock = FakeClock()
    breaker = breaker_after(4, clock)

    async def work(transport: HttpTransport) -> list[tuple[str, int]]:
        answers = [await transport.get("/x", final=(503,)) for _ in range(2)]
        return [(answer.path, answer.status) for answer in answers]

    told, double = ask({"/x": Reply("", 503)}, work, clock, breaker=breaker)
    assert (told, len(double.seen), clock.slept) == ([("/x", 503)] * 2, 2, [])


def test_a_call_that_is_given_up_makes_room_for_another() -> None:
    clock = FakeClock()
    breaker = breaker_after(5, clock)
    clock.elapsed = 60.0

    async def work(transport: HttpTransport) -> int:
        with pytest.raises(InputError):
            await transport.request("GET", "/x y")
        return (await transport.get("/x")).status

    assert ask({"/x": Reply({})}, work, clock, breaker=breaker)[0] == 200


def test_the_time_of_a_call_is_for_all_its_attempts_and_its_own_goes_before_the_usual_one() -> None:
    async def work(transport: HttpTransport) -> int:
        return (await transport.request("GET", "/x", total=20)).status

    reply = Reply("", 503, {"Retry-After": "15"})
    clock = FakeClock()
    assert ask({"/x": reply}, work, clock)[0] == 503
    assert clock.slept == [15.0]


def test_a_deadline_is_for_all_calls_together() -> None:
    async def work(transport: HttpTransport) -> None:
        for _ in range(2):
            await transport.request("GET", "/x", total=1000)

    clock = FakeClock()
    ask({"/x": Reply("", 503, {"Retry-After": "15"})}, work, clock, deadline=Deadline(clock, 20))
    assert clock.slept == [15.0]


def test_connection_failures_open_the_breaker() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(clock)

    async def run(url: str) -> None:
        async with HttpTransport(
            parse_address(url), clock=clock, breaker=breaker, retry=RetryPolicy(9), timeouts=Timeouts(10, 10, 600)
        ) as transport:
            await transport.get("/x")

    with serving({}) as double:
        url = double.url
    with pytest.raises(ClientError, match="not asked after 5 failures in a row, the last one: connection refused"):
        asyncio.run(run(url))
    assert len(clock.slept) == 5


def test_what_json_does_not_know_is_refused_before_it_is_sent() -> None:
    for value in (float("nan"), {1, 2}, object()):
        with pytest.raises(InputError, match=r"^this cannot be sent as JSON: \w"):
            json_body({"a": value})
