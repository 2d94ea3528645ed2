"""PostgreSQL and Redis are judged by what they say in their own protocols."""

from __future__ import annotations

import socket

import pytest
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.models import ServiceHealth
from flexcore_client.targets import parse_targets

from tests.doubles import socket_double
from tests.doubles.socket_double import Behaviour, behaving


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
