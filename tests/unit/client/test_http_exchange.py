"""Answers in every form that HTTP/1.1 allows, over connections that are used again and replaced."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from flexcore_client.address import parse_address
from flexcore_client.errors import ClientError, InputError
from flexcore_client.http_message import Body
from flexcore_client.retry import NO_RETRIES
from flexcore_client.transport import Answer, HttpTransport, Timeouts
from flexcore_client.transport_errors import NEXT_CUT, NEXT_NOT_HTTP

from tests.doubles.http_double import Reply, serving
from tests.doubles.socket_double import Behaviour, Connection, behaving

OK = b"HTTP/1.1 200 OK\r\n"
LIMITS = Timeouts(connect=5, read=5, total=5)
NEXT_BODY = "Check that the address is FlexCore's and not a proxy's or another service's."


def ask(url: str, work: Callable[[HttpTransport], Awaitable[Any]], timeouts: Timeouts = LIMITS) -> Any:
    async def run() -> Any:
        async with HttpTransport(parse_address(url), timeouts=timeouts, retry=NO_RETRIES) as transport:
            return await work(transport)

    return asyncio.run(run())


def answer_to(raw: bytes) -> Answer:
    def behaviour(connection: Connection) -> None:
        connection.request()
        connection.socket.sendall(raw)

    with behaving(behaviour) as double:
        return ask(double.url(), lambda transport: transport.get("/x"))


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n",
        OK + b"\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nhello",
    ],
)
def test_every_framing_of_a_body(raw: bytes) -> None:
    answer = answer_to(raw)
    assert (answer.status, answer.body) == (200, b"hello")


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "kind", "phase", "status", "reason", "next_step"),
    [
        (CHUNKED + b"2\r\nhello\r\n", "bad_body", "body", None, "not HTTP (malformed chunk footer", NEXT_NOT_HTTP),
        (CHUNKED + b"zz\r\n", "bad_body", "body", None, "not HTTP (illegal chunk header", NEXT_NOT_HTTP),
        (CHUNKED + b"5\r\nhe", "bad_body", "body", None, "the answer broke off in the middle of its body", NEXT_CUT),
        (
            OK + b"Content-Length: five\r\n\r\n",
            "bad_body",
            "first byte",
            None,
            "not HTTP (bad Content-Length",
            NEXT_NOT_HTTP,
        ),
        (
            OK + b"Content-Length: 8388609\r\n\r\n",
            "bad_body",
            None,
            200,
            "the body is larger than 8 MiB",
            NEXT_BODY,
        ),
        (
            OK + b"Content-Encoding: \x1bgzip\r\nContent-Length: 0\r\n\r\n",
            "bad_body",
            None,
            200,
            "the body is gzip-encoded, unasked",
            NEXT_BODY,
        ),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "bad_body", "first byte", None, "not HTTP", NEXT_NOT_HTTP),
        (
            b"HTTP/1.1 200 OK\r\nA: b\r\n",
            "unreachable",
            "first byte",
            None,
            "the connection was closed before an answer came",
            NEXT_CUT,
        ),
        (
            b"220 mail.example ESMTP\xff \r\n" + b"x" * 40,
            "bad_body",
            "first byte",
            None,
            "the answer is not HTTP (it begins '220 mail.example ESMTP\ufffd \\r\\nxxxxxxxxxxxxxx')",
            NEXT_NOT_HTTP,
        ),
        (b"HTTP/2", "unreachable", "first byte", None, "closed before", NEXT_CUT),
    ],
)
def test_what_is_no_answer(
    raw: bytes, kind: str, phase: str | None, status: int | None, reason: str, next_step: str
) -> None:
    with pytest.raises(ClientError) as caught:
        answer_to(raw)
    error = caught.value
    assert (error.kind.value, error.phase, error.http_status) == (kind, phase, status)
    assert reason in error.reason
    assert str(error) == f"{error.what}: {error.reason}. {next_step}"
    assert error.what.startswith("GET http://127.0.0.1:")
    assert error.what.endswith("/x")


def test_as_large_as_a_head_may_be() -> None:
    value = b"x" * 90_000
    assert answer_to(OK + b"X: " + value + b"\r\nContent-Length: 0\r\n\r\n").headers["x"] == value.decode()


def test_as_large_as_a_body_may_be() -> None:
    size = 8 << 20
    assert len(answer_to(OK + b"Content-Length: %d\r\n\r\n" % size + b" " * size).body) == size


def test_a_body_that_only_ends_with_the_connection_is_capped() -> None:
    with pytest.raises(ClientError, match="larger than 8 MiB") as caught:
        answer_to(OK + b"\r\n" + b" " * (9 << 20))
    assert caught.value.http_status == 200


def test_a_server_of_another_protocol_that_greets_and_waits_is_known_at_once() -> None:
    def greeting(connection: Connection) -> None:
        connection.socket.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.released.wait()

    with behaving(greeting) as double, pytest.raises(ClientError, match="not HTTP"):
        ask(double.url(), lambda transport: transport.get("/x"))


def test_one_connection_serves_several_requests() -> None:
    connections = []

    def behaviour(connection: Connection) -> None:
        connections.append(connection)
        while connection.request():
            connection.socket.sendall(OK + b"Content-Length: 2\r\n\r\nok")

    async def three(transport: HttpTransport) -> list[int]:
        return [(await transport.get("/x")).status for _ in range(3)]

    with behaving(behaviour) as double:
        assert ask(double.url(), three) == [200] * 3
    assert len(connections) == 1


def test_a_write_is_not_sent_over_a_connection_that_is_known_to_be_closed() -> None:
    answered, closed = threading.Event(), threading.Event()

    def behaviour(connection: Connection) -> None:
        if b"HTTP" not in connection.request():
            answered.set()
            closed.wait()
            connection.socket.sendall(b"closed")
            return
        connection.socket.sendall(OK + b"Content-Length: 2\r\n\r\nok")
        answered.wait()
        connection.socket.close()
        closed.set()

    async def read_then_write(transport: HttpTransport, port: int) -> int:
        await transport.get("/x")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"Close the first connection and say so.\r\n\r\n")
        # The event loop has seen that one end before it sees this answer.
        assert await reader.readexactly(6) == b"closed"
        writer.close()
        return (await transport.request("POST", "/x")).status

    with behaving(behaviour) as double:
        assert ask(double.url(), lambda transport: read_then_write(transport, double.port)) == 200


def test_what_a_server_says_unasked_is_not_taken_for_the_next_answer() -> None:
    def behaviour(connection: Connection) -> None:
        while connection.request():
            answer = OK + b"Content-Length: 5\r\n\r\n"
            connection.socket.sendall(answer + b"asked" + answer + b"other")

    async def two(transport: HttpTransport) -> list[bytes]:
        return [(await transport.get("/x")).body for _ in range(2)]

    with behaving(behaviour) as double:
        assert ask(double.url(), two) == [b"asked"] * 2


def test_a_header_that_comes_twice_is_read_as_one() -> None:
    assert answer_to(OK + b"X: a\r\nX: \xe9\r\nContent-Length: 0\r\n\r\n").headers == {
        "x": "a, \xe9",
        "content-length": "0",
    }


def once(answer: bytes) -> Behaviour:
    def behaviour(connection: Connection) -> None:
        connection.request()
        connection.socket.sendall(answer)

    return behaviour


@pytest.mark.parametrize(
    "answer", [OK + b"Content-Length: 2\r\n\r\nok", OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"]
)
def test_a_connection_that_the_server_closes_between_requests_is_replaced(answer: bytes) -> None:
    async def two(transport: HttpTransport) -> list[int]:
        return [(await transport.get("/x")).status for _ in range(2)]

    with behaving(once(answer)) as double:
        assert ask(double.url(), two) == [200, 200]


@pytest.mark.parametrize(("method", "asked"), [("GET", 3), ("POST", 2)])
def test_only_reading_is_repeated_when_a_kept_connection_ends_under_a_request(method: str, asked: int) -> None:
    requests = []

    def behaviour(connection: Connection) -> None:
        while request := connection.request():
            requests.append(request)
            if len(requests) == 2:
                return
            connection.socket.sendall(OK + b"Content-Length: 2\r\n\r\nok")

    async def two(transport: HttpTransport) -> int:
        await transport.get("/x")
        return (await transport.request(method, "/x")).status

    with behaving(behaviour) as double:
        if method == "GET":
            assert ask(double.url(), two) == 200
        else:
            with pytest.raises(ClientError, match="closed before an answer came"):
                ask(double.url(), two)
    assert len(requests) == asked


def test_an_answer_that_began_on_a_kept_connection_is_not_asked_for_again() -> None:
    requests = []

    def behaviour(connection: Connection) -> None:
        for body in (b"ok", b"o"):
            requests.append(connection.request())
            connection.socket.sendall(OK + b"Content-Length: 2\r\n\r\n" + body)

    async def two(transport: HttpTransport) -> None:
        await transport.get("/x")
        await transport.get("/x")

    with behaving(behaviour) as double, pytest.raises(ClientError, match="broke off in the middle"):
        ask(double.url(), two)
    assert len(requests) == 2


def test_several_requests_at_once_have_connections_of_their_own() -> None:
    async def several(transport: HttpTransport) -> list[int]:
        return [answer.status for answer in await asyncio.gather(*(transport.get("/x") for _ in range(5)))]

    with serving({"/x": Reply({"a": 1})}) as double:
        assert ask(double.url, several) == [200] * 5


def test_two_connections_are_kept_of_several() -> None:
    ended, all_asked = threading.Semaphore(0), threading.Barrier(4)

    def behaviour(connection: Connection) -> None:
        connection.request()
        all_asked.wait()
        connection.socket.sendall(OK + b"Content-Length: 2\r\n\r\nok")
        connection.request()
        ended.release()

    async def several(transport: HttpTransport) -> None:
        await asyncio.gather(*(transport.get("/x") for _ in range(4)))
        for _ in range(2):
            assert await asyncio.to_thread(ended.acquire, timeout=10)
        assert not ended.acquire(blocking=False)

    with behaving(behaviour) as double:
        ask(double.url(), several)
        for _ in range(2):
            assert ended.acquire(timeout=10), "a transport that is closed has connections left"


def test_a_large_body_is_sent_in_parts() -> None:
    size = 3 << 20

    def parts() -> Iterator[bytes]:
        yield from (b"x" * (1 << 16) for _ in range(size >> 16))

    with serving({"PUT /file": lambda seen: Reply({"length": len(seen.body)})}) as double:
        body = Body("application/octet-stream", size, parts)
        answer = ask(double.url, lambda transport: transport.request("PUT", "/file", body=body))
    assert answer.json() == {"length": size}


def test_a_part_of_a_body_may_be_empty() -> None:
    with serving({"PUT /x": Reply({})}) as double:
        body = Body("text/plain", 2, lambda: iter([b"", b"o", b"", b"k"]))
        ask(double.url, lambda transport: transport.request("PUT", "/x", body=body))
    assert double.seen[0].body == b"ok"


def test_a_large_body_is_received_whole() -> None:
    content = bytes(range(256)) * (7 << 12)
    with serving({"/file": Reply(content)}) as double:
        assert ask(double.url, lambda transport: transport.get("/file")).body == content


def test_a_server_that_reads_nothing_does_not_hold_up_the_sender() -> None:
    def deaf(connection: Connection) -> None:
        connection.released.wait()

    body = Body("application/octet-stream", 64 << 20, lambda: iter([b"x" * (1 << 20)] * 64))
    with behaving(deaf) as double, pytest.raises(ClientError) as caught:
        ask(
            double.url(),
            lambda transport: transport.request("PUT", "/file", body=body),
            Timeouts(connect=0.5, read=0.5, total=0.5),
        )
    assert (caught.value.kind.value, caught.value.phase) == ("timeout", "send")


def test_what_a_server_says_before_it_has_the_whole_body_is_heard() -> None:
    def refusing(connection: Connection) -> None:
        connection.request()
        connection.socket.sendall(b"HTTP/1.1 413 Too large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        connection.socket.shutdown(socket.SHUT_WR)
        connection.released.wait()

    body = Body("application/octet-stream", 64 << 20, lambda: iter([b"x" * (1 << 20)] * 64))
    with behaving(refusing) as double:
        answer = ask(double.url(), lambda transport: transport.request("PUT", "/file", body=body))
    assert (answer.status, answer.body) == (413, b"no")


def test_a_write_without_a_body_says_so() -> None:
    with serving({"POST /x": Reply({}), "DELETE /x": Reply({})}) as double:
        for method in ("POST", "DELETE"):
            ask(double.url, lambda transport, method=method: transport.request(method, "/x"))
        assert [seen.headers.get("content-length") for seen in double.seen] == ["0", None]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/x", "canary\r\nx: y"),
        ("/x", "canary\x00"),
        ("/x", "canary-\u20ac"),
        ("/x y", "canary"),
        ("/\xe4", "canary"),
    ],
)
def test_neither_a_header_nor_a_path_can_break_out_of_its_line(path: str, value: str) -> None:
    with serving({"/x": Reply({})}) as double:
        with pytest.raises(InputError) as caught:
            ask(double.url, lambda transport: transport.request("GET", path, headers={"x-correlation-id": value}))
        assert double.seen == []
    assert str(caught.value) == "the request cannot be sent: its path or one of its headers holds what none may"


def test_a_header_may_hold_what_latin_1_has() -> None:
    with serving({"/x": Reply({})}) as double:
        ask(double.url, lambda transport: transport.request("GET", "/x", headers={"x-correlation-id": "\xe9"}))
    assert double.seen[0].headers["x-correlation-id"] == "\xe9"


def unreadable() -> Iterator[bytes]:
    yield b"on"
    raise PermissionError(errno.EACCES, "Permission denied", "/wheel")


@pytest.mark.parametrize(
    ("size", "parts", "words"),
    [
        (4, lambda: iter([b"sho", b"rt", b"er"]), "its body is at least 5 bytes long, announced were 4"),
        (6, lambda: iter([b"sho", b"rt"]), "its body is 5 bytes long, announced were 6"),
        (6, unreadable, "its body cannot be read: Permission denied"),
    ],
)
def test_a_body_that_is_not_what_was_announced_is_not_passed_off_as_sent(
    size: int, parts: Callable[[], Iterator[bytes]], words: str
) -> None:
    with serving({"PUT /x": Reply({})}) as double, pytest.raises(InputError) as caught:
        ask(double.url, lambda transport: transport.request("PUT", "/x", body=Body("text/plain", size, parts)))
    assert str(caught.value) == f"the request cannot be sent: {words}"


def test_a_prefix_of_the_address_and_parameters_are_in_the_path() -> None:
    with serving({"/base/x": Reply({})}) as double:
        ask(double.url + "/base", lambda transport: transport.get("/x", {"a": "b c&d"}))
        assert double.seen[0].query == {"a": "b c&d"}
        assert double.seen[0].headers["host"] == f"127.0.0.1:{double.port}"


def test_a_name_with_several_addresses_that_all_refuse_is_refused() -> None:
    with serving({}) as double:
        pass
    with pytest.raises(ClientError) as caught:
        ask(f"http://localhost:{double.port}", lambda transport: transport.get("/x"))
    assert caught.value.kind.value == "refused"
