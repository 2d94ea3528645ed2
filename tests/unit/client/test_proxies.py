"""The way through a proxy: what it is asked for, with which login, and whose fault a failure is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from flexcore_client.address import parse_address
from flexcore_client.errors import ClientError
from flexcore_client.http_message import Body
from flexcore_client.retry import NO_RETRIES
from flexcore_client.transport import Answer, HttpTransport, Timeouts, TlsOptions
from flexcore_client.transport_errors import NEXT_PROXY

from tests.doubles import socket_double
from tests.doubles.certificates import Authority
from tests.doubles.http_double import Reply, serving
from tests.doubles.proxy_double import proxying
from tests.doubles.socket_double import Connection, behaving

ROUTES = {"/x": Reply({"a": 1}), "PUT /x": lambda seen: Reply(seen.body)}


def ask(url: str, proxy: str, times: int = 1, total: float = 10, **options: Any) -> list[Answer]:
    async def run() -> list[Answer]:
        timeouts = Timeouts(total, total, total)
        async with HttpTransport(
            parse_address(url), proxy=proxy, timeouts=timeouts, retry=NO_RETRIES, **options
        ) as transport:
            return [await transport.get("/x", {"q": "1 2&3", "r": "/"}) for _ in range(times)]

    return asyncio.run(run())


def test_a_plain_request_is_forwarded_over_one_connection() -> None:
    with serving(ROUTES) as double, proxying() as proxy:
        answers = ask(double.url, proxy.url(), times=2, token="token-for-flexcore")
        assert [answer.json() for answer in answers] == [{"a": 1}] * 2
        assert proxy.asked == [f"GET {double.url}/x?q=1%202%263&r=%2F"] * 2
        assert double.seen[0].headers["host"] == f"127.0.0.1:{double.port}"
        assert double.seen[0].headers["authorization"] == "Bearer token-for-flexcore"


def test_https_goes_through_a_tunnel_that_the_proxy_cannot_look_into(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serving(ROUTES, authority.server()) as double, proxying() as proxy:
        answers = ask(double.url, proxy.url(), times=2, tls=TlsOptions(ca_path=str(authority.path)))
        assert [answer.status for answer in answers] == [200, 200]
        assert proxy.asked == [f"CONNECT 127.0.0.1:{double.port}"]


def test_the_certificate_is_the_servers_own_behind_a_proxy_too(tmp_path: Path) -> None:
    tls = Authority(tmp_path).server()
    with serving(ROUTES, tls) as double, proxying() as proxy, pytest.raises(ClientError) as caught:
        ask(double.url, proxy.url())
    assert caught.value.kind.value == "tls"


def test_the_proxys_login_is_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serving(ROUTES, authority.server()) as double, proxying("me:p@ß") as proxy:
        answers = ask(double.url, proxy.url("me:p%40%C3%9F@"), tls=TlsOptions(ca_path=str(authority.path)))
        assert answers[0].status == 200
        assert "proxy-authorization" not in double.seen[0].headers


def test_a_plain_request_comes_with_the_login_too() -> None:
    with serving(ROUTES) as double, proxying("me:secret") as proxy:
        assert ask(double.url, proxy.url("me:secret@"), token="a-token")[0].status == 200
        assert double.seen[0].headers["authorization"] == "Bearer a-token"
        assert ask(double.url, proxy.url())[0].status == 407


def test_a_proxy_is_looked_for_where_it_is() -> None:
    with serving(ROUTES) as double, proxying() as proxy, pytest.raises(ClientError, match="connection refused"):
        ask(double.url, proxy.url().replace("127.0.0.1", "127.0.0.2"))


def test_the_certificate_of_a_proxy_is_for_its_own_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    other = authority.server(x509.DNSName("another.example"))
    with proxying(tls=other) as proxy, pytest.raises(ClientError, match="IP address mismatch"):
        ask("http://127.0.0.1:1", proxy.url(), tls=TlsOptions(ca_path=str(authority.path)))


def test_a_proxy_that_refuses_is_named_as_the_one_to_ask(tmp_path: Path) -> None:
    tls = Authority(tmp_path).server()
    with serving(ROUTES, tls) as double, proxying("me:secret") as proxy, pytest.raises(ClientError) as caught:
        ask(double.url, proxy.url("me:canary-wrong@"))
    assert (caught.value.kind.value, caught.value.phase) == ("unreachable", "connect")
    assert str(caught.value) == (
        f"GET {double.url}/x: the proxy refused (407 Proxy Authentication Required). {NEXT_PROXY}"
    )


def test_a_proxy_that_points_elsewhere_refuses_too() -> None:
    choosing = socket_double.saying(b"HTTP/1.1 300 Multiple choices\r\n\r\n")
    with behaving(choosing) as double, pytest.raises(ClientError) as caught:
        ask("https://127.0.0.1:1", double.url())
    assert caught.value.reason == "the proxy refused (300 Multiple choices)"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_silent_or_gone(scheme: str) -> None:
    way = f"GET {scheme}://127.0.0.1:1/x through the proxy 127.0.0.1:"
    with behaving(socket_double.silent) as silent, pytest.raises(ClientError) as caught:
        ask(f"{scheme}://127.0.0.1:1", silent.url(), total=0.5)
    assert (caught.value.kind.value, caught.value.phase) == ("timeout", "first byte")
    assert str(caught.value).startswith(way)
    with pytest.raises(ClientError) as caught:
        ask(f"{scheme}://127.0.0.1:1", silent.url().replace("://", "://me:canary@"))
    assert caught.value.kind.value == "refused"
    assert str(caught.value).startswith(f"{way}{silent.port}: connection refused")


def test_a_body_is_streamed_through_it() -> None:
    async def put(url: str, proxy: str) -> Answer:
        async with HttpTransport(parse_address(url), proxy=proxy) as transport:
            body = Body("application/octet-stream", 1 << 20, lambda: iter([b"x" * (1 << 16)] * 16))
            return await transport.request("PUT", "/x", body=body)

    with serving(ROUTES) as double, proxying() as proxy:
        assert len(asyncio.run(put(double.url, proxy.url())).body) == 1 << 20


def test_a_proxy_that_is_spoken_with_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = TlsOptions(ca_path=str(authority.path))
    with proxying(tls=authority.server()) as proxy:
        with serving(ROUTES) as double:
            assert ask(double.url, proxy.url(), tls=options)[0].status == 200
        with serving(ROUTES, authority.server()) as double:
            assert ask(double.url, proxy.url(), tls=options)[0].status == 200
            with pytest.raises(ClientError, match="certificate not trusted"):
                ask(double.url, proxy.url())


def test_what_greets_as_another_protocol_is_no_proxy() -> None:
    def greeting(connection: Connection) -> None:
        connection.socket.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.released.wait()

    with behaving(greeting) as double, pytest.raises(ClientError, match="not HTTP"):
        ask("http://127.0.0.1:1", double.url())


def test_a_server_that_speaks_first_is_known_through_a_tunnel_too() -> None:
    def greeting(connection: Connection) -> None:
        connection.request()
        connection.socket.sendall(b"HTTP/1.1 200 Connected\r\n\r\nSSH-2.0-OpenSSH_9.2\r\n")
        connection.released.wait()

    with behaving(greeting) as double, pytest.raises(ClientError, match="spoke before the handshake") as caught:
        ask("https://127.0.0.1:1", double.url())
    assert (caught.value.kind.value, caught.value.phase) == ("tls", "tls")
