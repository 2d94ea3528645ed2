"""PostgreSQL and Redis are judged by what they say in their own protocols."""

from __future__ import annotations

import asyncio
import socket
from unittest.mock import AsyncMock

import pytest
from flexcore_client.address import parse_address
from flexcore_client.clock import Deadline
from flexcore_client.errors import ClientError
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.models import ServiceHealth
from flexcore_client.targets import parse_targets
from flexcore_client.wire import WireAnswer, probe

from tests.doubles import socket_double
from tests.doubles.fake_clock import FakeClock
from tests.doubles.socket_double import Behaviour, Connection, behaving


def verdict_on(url: str) -> ServiceHealth:
    return check(parse_targets([{"url": url}]), CheckOptions(timeout=1.0))[0]


@pytest.mark.parametrize(
    ("scheme", "said", "status", "cause"),
    [
        ("postgresql", b"S", "HEALTHY", None),
        ("postgresql", b"N", "HEALTHY", None),
        ("postgresql", b"SSH-2.0-OpenSSH_9.2\r\n", "UNKNOWN", "does not speak PostgreSQL's protocol"),
        ("postgresql", b"HTTP/1.1 400 Bad Request\r\n", "UNKNOWN", "does not speak PostgreSQL's protocol"),
        ("postgresql", b"", "UNHEALTHY", "closed before an answer came"),
        ("redis", b"+PONG\r\n", "HEALTHY", None),
        ("redis", b"-NOAUTH Authentication required.\r\n", "HEALTHY", None),
        ("redis", b"-LOADING Redis is loading the dataset in memory\r\n", "UNHEALTHY", "LOADING Redis is loading"),
        ("redis", b"-DENIED Redis is running in protected mode\r\n", "UNHEALTHY", "DENIED"),
        ("redis", b"HTTP/1.1 400 Bad Request\r\n", "UNKNOWN", "does not speak Redis's protocol"),
        ("redis", b"", "UNHEALTHY", "closed before an answer came"),
    ],
)
def test_what_a_server_says(scheme: str, said: bytes, status: str, cause: str | None) -> None:
    with behaving(socket_double.saying(said)) as double:
        result = verdict_on(double.url(scheme))
    assert result.status.value == status
    assert result.service_name == scheme
    if cause is None:
        assert result.details["cause"] is None
        assert result.details["culprit"] is None
        assert result.response_time_ms is not None
    else:
        assert cause in result.details["cause"]
        assert result.details["culprit"] == scheme


@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
@pytest.mark.parametrize(
    ("behaviour", "failure", "cause"),
    [
        (socket_double.silent, "timeout", "no answer within 1 s (waiting for the first byte)"),
        (lambda connection: connection.reset(), "unreachable", "the connection was closed before an answer came"),
    ],
)
def test_a_server_that_says_nothing(scheme: str, behaviour: Behaviour, failure: str, cause: str) -> None:
    with behaving(behaviour) as double:
        result = verdict_on(double.url(scheme))
    assert (result.status.value, result.details["failure"], result.details["cause"]) == ("UNHEALTHY", failure, cause)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = verdict_on(f"redis://127.0.0.1:{port}")
    assert (result.status.value, result.details["cause"]) == ("UNHEALTHY", "connection refused")


def ask(url: str, clock: FakeClock | None = None, seconds: float = 5.0) -> WireAnswer:
    clock = clock or FakeClock()
    return asyncio.run(probe(parse_address(url), Deadline(clock, seconds), clock))


def failure(behaviour: Behaviour, scheme: str, seconds: float = 5.0) -> tuple[ClientError, str]:
    """What the probe raises, and its message with URL for the address of the double."""
    with behaving(behaviour) as double, pytest.raises(ClientError) as caught:
        ask(double.url(scheme), seconds=seconds)
    return caught.value, str(caught.value).replace(double.url(scheme), "URL")


@pytest.mark.parametrize(("scheme", "service"), [("postgresql", "PostgreSQL"), ("redis", "Redis")])
def test_a_server_that_closes_is_told_with_where_to_look(scheme: str, service: str) -> None:
    error, message = failure(socket_double.saying(b""), scheme)
    assert message == (
        "Asking URL: the connection was closed before an answer came. "
        f"Read {service}'s log: it is starting, stopping, or refuses this host."
    )
    assert (error.phase, error.transient) == ("first byte", True)


@pytest.mark.parametrize(("scheme", "service"), [("postgresql", "PostgreSQL"), ("redis", "Redis")])
def test_another_service_is_told_with_the_beginning_of_what_it_said(scheme: str, service: str) -> None:
    said = b"220 mail.example.org ESMTP \xff ready to relay everything to everybody"
    error, message = failure(socket_double.saying(said), scheme)
    assert message == (
        f"Asking URL: does not speak {service}'s protocol (said '220 mail.example.org ESMTP \ufffd ready to r…'). "
        f"Check that address and port are {service}'s."
    )
    assert not error.transient


def test_silence_is_told_with_the_time_that_was_given_and_is_not_asked_again() -> None:
    error, message = failure(socket_double.silent, "redis", seconds=0.5)
    assert message.startswith("Asking URL: no answer within 0.5 s (")
    assert not error.transient


def test_a_port_where_nobody_listens_is_told_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ClientError, match=f"Asking {url}: connection refused") as caught:
        ask(url)
    assert caught.value.phase == "connect"


def test_a_connection_that_cannot_be_made_is_told_with_what_the_machine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "open_connection", AsyncMock(side_effect=OSError("too many open files")))
    with pytest.raises(ClientError, match=r"no connection \(too many open files\)") as caught:
        ask("redis://127.0.0.1:6379")
    assert caught.value.phase == "connect"


@pytest.mark.parametrize(
    ("scheme", "said", "evidence", "trouble"),
    [
        ("postgresql", b"N", "answered SSLRequest with N", None),
        ("redis", b"+PONG\r\n", "answered PING with +PONG", None),
        ("redis", b"-LOADING \xff\r\n", "answered PING with -LOADING \ufffd", "LOADING \ufffd"),
    ],
)
def test_an_answer_is_kept_as_evidence_with_the_milliseconds_it_took(
    scheme: str, said: bytes, evidence: str, trouble: str | None
) -> None:
    clock = FakeClock()

    def slow(connection: Connection) -> None:
        connection.socket.recv(4096)
        clock.elapsed += 0.01234
        connection.socket.sendall(said)

    with behaving(slow) as double:
        assert ask(double.url(scheme), clock) == WireAnswer(12.3, evidence, trouble)
