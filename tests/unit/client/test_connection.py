"""Where the options of a connection come from, and which of them contradict each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flexcore_client import connection
from flexcore_client.address import parse_address
from flexcore_client.breaker import CircuitBreaker
from flexcore_client.clock import Deadline
from flexcore_client.connection import Connection, read_connection, with_environment
from flexcore_client.credentials import Login
from flexcore_client.errors import InputError
from flexcore_client.exchange import Timeouts
from flexcore_client.retry import NO_RETRIES, RetryPolicy
from flexcore_client.tls import TlsOptions

from tests.doubles.fake_clock import FakeClock

ENVIRON = {
    "FLEXCORE_URL": "http://core9:8080",
    "FLEXCORE_TOKEN": "environment-token",
    "FLEXCORE_CA_PATH": "/ca.pem",
    "FLEXCORE_CLIENT_CERT": "/cert.pem",
    "FLEXCORE_CLIENT_KEY": "/key.pem",
    "FLEXCORE_PROXY": "http://proxy:3128",
}


def test_the_environment_gives_what_is_left_open() -> None:
    found = with_environment({"url": None, "timeout": 7}, ENVIRON)
    assert (found["url"], found["token"], found["timeout"]) == ("http://core9:8080", "environment-token", 7)
    assert (found["ca_path"], found["client_cert"], found["proxy"]) == ("/ca.pem", "/cert.pem", "http://proxy:3128")


@pytest.mark.parametrize(
    ("given", "left_out"),
    [
        ({"url": "http://core1"}, "url"),
        ({"username": "a", "password": "b"}, "token"),
        ({"token_file": "/t"}, "token"),
        ({"client_cert": "/mine.pem"}, "client_key"),
        ({"proxy": ""}, "proxy"),
    ],
)
def test_what_is_given_keeps_the_environment_out(given: dict[str, str], left_out: str) -> None:
    assert with_environment(given, ENVIRON).get(left_out) == given.get(left_out)


def test_an_empty_variable_is_none() -> None:
    assert with_environment({}, {"FLEXCORE_URL": ""})["url"] is None


def test_a_connection_in_full(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("file-token\n")
    found = read_connection(
        {
            "token_file": str(file),
            "timeout": 2,
            "connect_timeout": 3.0,
            "read_timeout": None,
            "retries": 0,
            "ca_path": "/ca",
            "validate_certs": False,
            "client_cert": "/cert",
            "client_key": "/key",
            "api": "gin-2025",
        }
    )
    assert (found.token, found.login, found.retry.retries, found.api) == ("file-token", None, 0, "gin-2025")
    assert (found.timeouts.connect, found.timeouts.read, found.timeouts.total) == (2, 2, 2)
    assert (found.tls.ca_path, found.tls.validate) == ("/ca", False)
    assert (found.tls.client_cert, found.tls.client_key) == ("/cert", "/key")
    assert "file-token" not in repr(found)


def test_who_says_nothing_has_certificates_checked_and_comes_as_nobody() -> None:
    found = read_connection({})
    assert found.tls.validate is True
    assert (found.token, found.login, found.proxy, found.api) == (None, None, None, "auto")


def test_a_token_and_limits_below_a_second_are_taken() -> None:
    found = read_connection({"token": "given", "timeout": 0.5})
    assert (found.token, found.timeouts.total) == ("given", 0.5)


@pytest.mark.parametrize(
    "proxy", ["http://proxy", "https://proxy:3128", "http://user:pass@192.0.2.1:1", "http://[::1]:1"]
)
def test_addresses_of_proxies(proxy: str) -> None:
    assert read_connection({"proxy": proxy}).proxy == proxy


def test_a_transport_has_all_of_its_connection_and_what_is_given_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(connection, "HttpTransport", lambda address, **options: made.append({"to": address, **options}))
    address, clock = parse_address("http://core1:8080"), FakeClock()
    own = {
        "token": "own",
        "login": Login("a", "b"),
        "timeouts": Timeouts(total=7),
        "tls": TlsOptions(ca_path="/ca"),
        "proxy": "http://proxy:1",
        "retry": RetryPolicy(7),
    }
    given = {"token": "given", "retry": NO_RETRIES, "deadline": Deadline(clock, 3), "breaker": CircuitBreaker(clock)}
    Connection(**own).transport(address, clock)
    Connection(**own).transport(address, clock, **given)
    assert made[0] == {"to": address, "clock": clock, **own, "deadline": None, "breaker": None}
    assert made[1] == {"to": address, "clock": clock, **own, **given}


def test_a_login_does_not_show_its_password() -> None:
    found = read_connection({"username": "a", "password": "canary"})
    assert found.login == Login("a", "canary")
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": "t", "token_file": "/t"}, "token and token_file are given"),
        ({"token": "t", "username": "u", "password": "p"}, "token and username are given"),
        ({"username": "u"}, "^username and password belong together: give both or none$"),
        ({"password": "p"}, "belong together"),
        ({"token": "two words"}, "^token holds blanks or characters that no token has: give the token alone$"),
        ({"token_file": "/nowhere"}, "cannot be read: No such file"),
        ({"timeout": 0}, "timeout is 0"),
        ({"connect_timeout": -1.0}, "connect_timeout is -1"),
        ({"read_timeout": float("inf")}, "read_timeout is inf"),
        ({"retries": -1}, "retries is -1"),
        ({"api": "flexcore-v9"}, "api is 'flexcore-v9'"),
        (
            {"proxy": "http://:3128"},
            "^proxy is no address of a proxy: allowed are http://host:port and https://host:port$",
        ),
        ({"proxy": "proxy:3128"}, "no address of a proxy"),
        ({"proxy": "http://proxy:port"}, "no address of a proxy"),
        ({"proxy": "socks5://proxy:1"}, "no address of a proxy"),
        ({"proxy": "http://pröxy:1"}, "no address of a proxy"),
        ({"proxy": "http://proxy..example:1"}, "no address of a proxy"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_connection(options)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "does not hold one token"),
        (b"two words", "does not hold one token"),
        (b"\xff\xfe", "cannot be read: it is not text"),
        (b"a\nb", "does not hold one token"),
    ],
)
def test_a_token_file_that_holds_no_token(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_connection({"token_file": str(file)})
    assert str(caught.value) == f"the token_file {file} {words}"
    assert "words" not in str(caught.value)
