"""Every way in which no answer comes has its own kind and words, ends within the time allowed, and leaks nothing."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from flexcore_client.client import FlexCoreClient
from flexcore_client.connection import Connection
from flexcore_client.errors import ClientError, FailureKind, InputError
from flexcore_client.fanout import NO_PHASE_LIMITS, CheckOptions, check
from flexcore_client.models import HealthStatus, ServiceHealth
from flexcore_client.retry import NO_RETRIES, RetryPolicy, retry_after_seconds
from flexcore_client.targets import parse_targets
from flexcore_client.transport import Answer, HttpTransport, Timeouts, TlsOptions
from flexcore_client.transport_errors import (
    NEXT_CUT,
    NEXT_PROXY,
    NEXT_REFUSED,
    NEXT_TIMEOUT,
    NEXT_TLS,
    NEXT_UNREACHABLE,
    explain_failure,
    explain_proxy,
    explain_timeout,
)

from tests.doubles import socket_double
from tests.doubles.certificates import Authority
from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import Reply, Routes, Seen, serving
from tests.doubles.socket_double import Behaviour, behaving

CANARY = "canary-token-4711-canary-token"
# Long enough for a busy machine to get as far as the phase in question.
LIMIT = 1.0


def refused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def trusting(tls: TlsOptions) -> Connection:
    return Connection(timeouts=NO_PHASE_LIMITS, tls=tls)


def verdict_on(url: str, tls: TlsOptions | None = None, timeout: float = LIMIT) -> ServiceHealth:
    """Check one address and require what holds of every failure."""
    started = time.monotonic()
    options = CheckOptions(timeout=timeout, connection=trusting(tls or TlsOptions()))
    result = check(parse_targets([{"url": url}], CANARY), options)[0]
    assert time.monotonic() - started < timeout + 5, "hangs past its deadline"
    assert not result.healthy
    assert CANARY not in repr(result)
    return result


@pytest.mark.parametrize(
    ("behaviour", "kind", "phase", "status", "words"),
    [
        (socket_double.silent, "timeout", "first byte", "UNHEALTHY", "within 1 s (waiting for the first byte)"),
        (socket_double.dripping, "timeout", "body", "UNHEALTHY", "within 1 s (while reading the body)"),
        (socket_double.closing, "unreachable", "first byte", "UNHEALTHY", "closed before an answer came"),
        (socket_double.resetting, "unreachable", "first byte", "UNHEALTHY", "closed before an answer came"),
        (socket_double.breaking_off, "bad_body", "body", "UNKNOWN", "broke off in the middle of its body"),
        (socket_double.saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad_body", "first byte", "UNKNOWN", "not HTTP"),
        (socket_double.saying(b"N"), "unreachable", "first byte", "UNHEALTHY", "closed before an answer came"),
        (
            socket_double.saying(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000),
            "bad_body",
            "first byte",
            "UNKNOWN",
            "not HTTP",
        ),
    ],
)
def test_a_server_that_gives_no_answer(behaviour: Behaviour, kind: str, phase: str, status: str, words: str) -> None:
    with behaving(behaviour) as double:
        result = verdict_on(double.url())
    assert (result.details["failure"], result.details["phase"], result.status.value) == (kind, phase, status)
    assert words in result.details["cause"]
    assert double.url() in result.details["message"]


def test_a_hundred_megabytes_are_not_read() -> None:
    with behaving(socket_double.flooding) as double:
        result = verdict_on(double.url(), timeout=5)
    assert result.status is HealthStatus.UNKNOWN
    assert result.details["cause"] == "the body is larger than 8 MiB"


def test_nobody_listens() -> None:
    result = verdict_on(refused_url())
    assert (result.details["failure"], result.details["cause"]) == ("refused", "connection refused")
    assert "systemctl status" in result.details["message"]


def test_a_name_that_does_not_resolve() -> None:
    result = verdict_on("http://flexcore.invalid:8080", timeout=5)
    assert (result.details["failure"], result.details["phase"]) == ("unreachable", "resolve")


@pytest.mark.parametrize(
    ("code", "words"), [(errno.EHOSTUNREACH, "no route to host"), (errno.ENETUNREACH, "network unreachable")]
)
def test_an_address_without_a_route(code: int, words: str) -> None:
    error = explain_failure("GET http://core1:8080/health", "connect", OSError(code, "as the kernel says it"))
    assert (error.kind, error.reason) == (FailureKind.UNREACHABLE, words)


def caused_by(cause: Exception) -> OSError:
    """The exception of a library that wraps what happened."""
    error = OSError("all attempts failed")
    error.__cause__ = cause
    return error


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


def broken_handshake() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


def reset_while_waiting() -> ConnectionResetError:
    """What asyncio raises where TLS was about to wait for more."""
    error = ConnectionResetError()
    error.__context__ = ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")
    return error


@pytest.mark.parametrize("place", ["cause", "context", "behind another cause", "group", "circle"])
def test_what_happened_is_found_wherever_a_library_puts_it(place: str) -> None:
    refused, error = ConnectionRefusedError(), OSError("all attempts failed")
    if place == "cause":
        error.__cause__ = refused
    elif place == "context":
        error.__context__ = refused
    elif place == "behind another cause":
        error.__cause__, error.__context__ = OSError("this says nothing"), refused
    elif place == "group":
        error.exceptions = (OSError("first address"), refused)  # type: ignore[attr-defined]  # as asyncio does
    else:
        error.__context__ = OSError("and again")
        error.__context__.__context__ = error
    told = explain_failure("GET x", "connect", error)
    assert told.reason == ("no connection (all attempts failed)" if place == "circle" else "connection refused")


LOST = "the connection was closed before an answer came"
BROKE_OFF = "the answer broke off in the middle of its body"


@pytest.mark.parametrize(
    ("phase", "error", "kind", "told_phase", "reason", "next_step", "transient"),
    [
        ("connect", untrusted(), "tls", "tls", "certificate not trusted: certificate has expired", NEXT_TLS, False),
        ("connect", broken_handshake(), "tls", "tls", "TLS handshake failed: WRONG_VERSION_NUMBER", NEXT_TLS, False),
        (
            "tls",
            ssl.SSLError(ssl.SSL_ERROR_SSL, "it spoke first"),
            "tls",
            "tls",
            "TLS handshake failed: it spoke first",
            NEXT_TLS,
            False,
        ),
        (
            "tls",
            ConnectionResetError(),
            "tls",
            "tls",
            "the connection was closed during the TLS handshake",
            NEXT_TLS,
            False,
        ),
        ("body", reset_while_waiting(), "bad_body", "body", BROKE_OFF, NEXT_CUT, True),
        ("send", ConnectionRefusedError(), "refused", "connect", "connection refused", NEXT_REFUSED, True),
        (
            "connect",
            caused_by(ConnectionRefusedError()),
            "refused",
            "connect",
            "connection refused",
            NEXT_REFUSED,
            True,
        ),
        (
            "connect",
            socket.gaierror(-2, "Name or service not known"),
            "unreachable",
            "resolve",
            "the host name cannot be resolved (Name or service not known)",
            NEXT_UNREACHABLE,
            True,
        ),
        ("send", OSError(errno.EHOSTDOWN, "down"), "unreachable", "connect", "host is down", NEXT_UNREACHABLE, True),
        (
            "connect",
            OSError(errno.EPERM, "no"),
            "unreachable",
            "connect",
            "not permitted (local firewall)",
            NEXT_UNREACHABLE,
            True,
        ),
        (
            "body",
            ConnectionResetError(),
            "bad_body",
            "body",
            BROKE_OFF,
            NEXT_CUT,
            True,
        ),
        ("first byte", ConnectionResetError(), "unreachable", "first byte", LOST, NEXT_CUT, True),
        ("connect", ConnectionResetError(), "unreachable", "connect", LOST, NEXT_CUT, True),
        ("send", OSError(errno.EIO, "input/output"), "unreachable", "send", LOST, NEXT_CUT, True),
        (
            "connect",
            OSError("too many open files"),
            "unreachable",
            "connect",
            "no connection (too many open files)",
            NEXT_UNREACHABLE,
            True,
        ),
        ("connect", OSError(), "unreachable", "connect", "no connection (OSError)", NEXT_UNREACHABLE, True),
    ],
)
def test_every_failure_of_the_network_says_what_and_what_to_do(
    phase: str, error: OSError, kind: str, told_phase: str, reason: str, next_step: str, transient: bool
) -> None:
    told = explain_failure("GET x", phase, error)
    assert str(told) == f"GET x: {reason}. {next_step}"
    assert told.reason == reason
    assert (told.kind.value, told.phase, told.transient) == (kind, told_phase, transient)


@pytest.mark.parametrize(("words", "transient"), [("503 Service Unavailable", True), ("407 Who are you?", False)])
def test_a_proxy_that_refuses_is_told_with_its_own_words(words: str, transient: bool) -> None:
    told = explain_proxy("GET x", words)
    assert str(told) == f"GET x: the proxy refused ({words}). {NEXT_PROXY}"
    assert (told.kind.value, told.phase, told.transient) == ("unreachable", "connect", transient)


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("connect", "while connecting"),
        ("tls", "in the TLS handshake"),
        ("send", "while sending the request"),
        ("first byte", "waiting for the first byte"),
        ("body", "while reading the body"),
        ("resolve", "resolve"),
    ],
)
@pytest.mark.parametrize("total", [False, True])
def test_a_limit_that_ran_out_is_told_with_what_it_ran_out_for(phase: str, words: str, total: bool) -> None:
    told = explain_timeout("GET x", phase, 2.504, total=total)
    assert str(told) == f"GET x: no answer within 2.5 s ({words}). {NEXT_TIMEOUT}"
    assert (told.phase, told.transient) == (phase, not total)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def verdict_over_tls(context: ssl.SSLContext, tls: TlsOptions) -> ServiceHealth:
    with serving({"/health": Reply({"status": "healthy"})}, context) as double:
        return check(parse_targets([{"url": double.url}], api="legacy-2025"), CheckOptions(connection=trusting(tls)))[0]


def test_a_good_certificate(authority: Authority) -> None:
    assert verdict_over_tls(authority.server(), TlsOptions(ca_path=str(authority.path))).healthy


@pytest.mark.parametrize(
    ("server", "trusted", "words"),
    [
        ({"name": x509.DNSName("another.example")}, True, "IP address mismatch"),
        ({"expired": True}, True, "certificate has expired"),
        ({}, False, "unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_is_not_to_be_trusted(
    authority: Authority, server: dict[str, Any], trusted: bool, words: str
) -> None:
    context = authority.server(**server)
    result = verdict_over_tls(context, TlsOptions(ca_path=str(authority.path) if trusted else None))
    assert (result.details["failure"], result.status.value) == ("tls", "UNHEALTHY")
    assert words in result.details["cause"]
    assert verdict_over_tls(context, TlsOptions(validate=False)).healthy


def test_tls_towards_a_server_that_speaks_plain_http() -> None:
    with serving({}) as double:
        assert verdict_on(double.url.replace("http", "https")).details["failure"] == "tls"


def test_a_silent_tls_server() -> None:
    with behaving(socket_double.silent) as double:
        result = verdict_on(double.url("https"))
    assert (result.details["failure"], result.details["phase"]) == ("timeout", "tls")


NO_PAIR = "no certificate with the key to it, in PEM and without a passphrase"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca_path": "/nowhere/ca.pem"}, "ca_path /nowhere/ca.pem cannot be used: No such file or directory"),
        ({"ca_path": __file__}, f"ca_path {__file__} cannot be used: holds no certificate"),
        (
            {"client_cert": "/nowhere/cert.pem"},
            "client_cert /nowhere/cert.pem cannot be used: No such file or directory",
        ),
        (
            {"client_cert": __file__, "client_key": "/key.pem"},
            f"client_cert {__file__} with client_key /key.pem cannot be used: {NO_PAIR}",
        ),
        ({"client_cert": __file__}, f"client_cert {__file__} cannot be used: {NO_PAIR}"),
        ({"client_key": "/key.pem"}, "client_key is given without client_cert: give both, or both in client_cert"),
    ],
)
def test_files_of_tls_that_cannot_be_used(options: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        verdict_on("https://127.0.0.1:1", TlsOptions(**options))
    assert str(caught.value) == words


def test_a_client_certificate_is_shown_to_a_server_that_asks_for_one(authority: Authority, tmp_path: Path) -> None:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.path)
    mine = tmp_path / "mine.pem"
    mine.write_text("".join(authority.issue()))
    trusted = {"ca_path": str(authority.path)}
    assert verdict_over_tls(context, TlsOptions(**trusted, client_cert=str(mine))).healthy
    assert not verdict_over_tls(context, TlsOptions(**trusted)).healthy


def fetch(routes: Routes, retry: RetryPolicy, clock: FakeClock) -> tuple[Answer, int]:
    async def get(url: str) -> Answer:
        target = parse_targets([{"url": url}])[0]
        async with HttpTransport(target.address, timeouts=Timeouts(total=60), retry=retry, clock=clock) as transport:
            return await transport.get("/x")

    with serving(routes) as double:
        return asyncio.run(get(double.url)), len(double.seen)


def failing_then_good(failures: int, failure: Reply) -> Routes:
    left = iter([failure] * failures)
    return {"/x": lambda _seen: next(left, Reply({"good": True}))}


def test_two_failures_and_then_an_answer() -> None:
    clock = FakeClock()
    answer, asked = fetch(failing_then_good(2, Reply("", 500)), RetryPolicy(2, random_unit=lambda: 1.0), clock)
    assert (answer.status, asked, clock.slept) == (200, 3, [0.1, 0.2])


def test_retry_after_is_honoured() -> None:
    clock = FakeClock()
    answer, asked = fetch(failing_then_good(1, Reply("", 429, {"Retry-After": "7"})), RetryPolicy(), clock)
    assert (answer.status, asked, clock.slept) == (200, 2, [7.0])


def test_retry_after_past_the_deadline_is_told_at_once() -> None:
    clock = FakeClock()
    answer, asked = fetch(failing_then_good(1, Reply("", 503, {"Retry-After": "90"})), RetryPolicy(), clock)
    assert (answer.status, asked, clock.slept) == (503, 1, [])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("0.5", 0.5),
        ("86399", 86399.0),
        ("86400", None),
        ("-1", None),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_a_wait_that_a_server_names_is_taken_up_to_a_day(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_a_pause_that_ends_with_the_deadline_leaves_no_time_to_ask() -> None:
    policy = RetryPolicy(random_unit=lambda: 1.0)
    assert policy.delay(1, None, remaining=0.1) is None
    assert policy.delay(1, None, remaining=0.11) == 0.1


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 501])
def test_other_statuses_are_not_tried_again(status: int) -> None:
    _, asked = fetch({"/x": Reply("", status)}, RetryPolicy(), FakeClock())
    assert asked == 1


def test_connections_that_fail_are_tried_again() -> None:
    clock = FakeClock()

    async def get(url: str) -> None:
        target = parse_targets([{"url": url}])[0]
        async with HttpTransport(target.address, retry=RetryPolicy(3), clock=clock) as transport:
            await transport.get("/x")

    with pytest.raises(ClientError) as caught:
        asyncio.run(get(refused_url()))
    assert caught.value.kind is FailureKind.REFUSED
    assert len(clock.slept) == 3


def test_the_token_is_sent_and_never_shown() -> None:
    def echo(seen: Seen) -> Reply:
        return Reply({"error": f"bad header {seen.headers['authorization']}"}, 500)

    async def ask(url: str) -> None:
        target = parse_targets([{"url": url}], CANARY, "flexcore-v1")[0]
        async with HttpTransport(target.address, token=CANARY, retry=NO_RETRIES) as transport:
            assert CANARY not in repr(target)
            await FlexCoreClient(target, transport).plugins()

    with serving({"/api/v1/flexcore/plugins": echo}) as double, pytest.raises(ClientError) as caught:
        asyncio.run(ask(double.url))
    assert double.seen[0].headers["authorization"] == f"Bearer {CANARY}"
    assert caught.value.reason == "answered 500: bad header Bearer ***"
