"""What clients should not send, byte by byte: everything is answered in kind, and nothing upsets the server."""

import contextlib
import json
import socket

import httpx
import pytest

from tests.integration.server.flexcore_process import FlexCoreProcess
from tests.servers import wait_until

PLUGINS = "/api/v1/flexcore/plugins"
EVENTS = "/api/v1/flexcore/events"


def answer_to(connection: socket.socket, request: bytes) -> bytes:
    """Send until the server has had enough, and read until it closes the connection."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(request)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(4096):
            answer += piece
    return answer


def test_a_body_over_the_limit_is_a_413_whether_announced_or_not(api: httpx.Client) -> None:
    too_much = 10 * 1024 * 1024 + 1
    path = f"{PLUGINS}/json-processor/execute"
    url = api.base_url
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {api.headers['authorization']}\r\n"
        "Content-Type: application/json\r\n"
    )
    # By hand, because a client library would be cut off while it still sends.
    with socket.create_connection((url.host, url.port), timeout=10) as announced:
        announced.sendall(f"{head}Content-Length: {too_much}\r\n\r\n".encode())
        assert announced.recv(1024).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection((url.host, url.port), timeout=10) as chunked:
        chunked.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{too_much:x}\r\n".encode())
        chunked.sendall(b" " * too_much)
        assert chunked.recv(1024).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_text",
    [
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_a_problem_too(api: httpx.Client, request_text: bytes) -> None:
    with socket.create_connection((api.base_url.host, api.base_url.port), timeout=10) as connection:
        head, _, body = answer_to(connection, request_text).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["status"] == 400


@pytest.mark.parametrize("line", [b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET http://a/b HTTP/1.1"])
def test_unusual_request_targets_are_answered_in_kind(
    flexcore: FlexCoreProcess, api: httpx.Client, line: bytes
) -> None:
    with socket.create_connection((api.base_url.host, api.base_url.port), timeout=10) as connection:
        answer = answer_to(connection, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.split()[1] in {b"400", b"404", b"405"}
    assert b"application/problem+json" in answer
    assert not [record for record in flexcore.log if record["level"] == "error"]


def test_a_client_that_goes_away_in_mid_request_is_no_error(flexcore: FlexCoreProcess, api: httpx.Client) -> None:
    head = (
        f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: {api.headers['authorization']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection((api.base_url.host, api.base_url.port), timeout=10) as half:
        half.sendall(head.encode())
    wait_until(lambda: any("client closed" in line["message"] for line in flexcore.log), 5, "the notice in the log")
    assert not [line for line in flexcore.log if line["level"] in {"error", "critical"}]


@pytest.mark.parametrize(
    ("beginning", "endless"),
    [(b"GET /", b"a" * 100), (b"GET / HTTP/1.1\r\nX: ", b"a" * 100), (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 16)],
    ids=["path", "header", "headers"],
)
def test_a_head_without_end_is_a_431(api: httpx.Client, beginning: bytes, endless: bytes) -> None:
    with socket.create_connection((api.base_url.host, api.base_url.port), timeout=10) as connection:
        answer = answer_to(connection, beginning + endless * 10_000)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"application/problem+json" in answer


def test_a_large_head_with_an_end_is_served(api: httpx.Client) -> None:
    assert api.get("/health/live", headers={"x-large": "a" * 60_000}).status_code == 200
    # Bodies do not count, however they are cut into pieces.
    assert api.post(EVENTS, content=b" " * 1_000_000, headers={"content-type": "application/json"}).status_code == 400
    assert api.get("/health/live").status_code == 200
