"""HTTP/1.1 as bytes: what is written, and what is taken for an answer."""

from __future__ import annotations

import pytest
from flexcore_client.http_message import Body, NotHttpError, Request, chunk_size, parse_head


def test_a_request_without_a_body() -> None:
    head = Request("GET", "/health?detail=true", {"accept": "application/json"}).head("core1:8080")
    assert head == b"GET /health?detail=true HTTP/1.1\r\nhost: core1:8080\r\naccept: application/json\r\n\r\n"


def test_a_request_with_a_body_says_how_long_it_is() -> None:
    body = Body("application/json", 2, lambda: iter((b"{}",)))
    assert b"content-type: application/json\r\ncontent-length: 2\r\n" in Request("POST", "/x", {}, body).head("a")
    assert b"content-length: 0\r\n" in Request("POST", "/x").head("a")
    assert b"content-length" not in Request("DELETE", "/x").head("a")


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\x00"])
def test_a_header_cannot_break_out_of_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        Request("GET", "/", {"x-correlation-id": value}).head("a")


def test_a_head_in_full() -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-A: 1\r\nx-a:2 ")
    assert (head.status, head.length, head.chunked, head.keep_alive) == (200, 12, False, True)
    assert head.headers["x-a"] == "1, 2"


@pytest.mark.parametrize(
    ("raw", "keep_alive"),
    [
        (b"HTTP/1.1 200", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive", True),
    ],
)
def test_when_a_connection_may_be_used_again(raw: bytes, keep_alive: bool) -> None:
    assert parse_head(raw).keep_alive is keep_alive


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_some_answers_have_no_body_whatever_they_say(status: bytes) -> None:
    assert parse_head(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 7").length == 0


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    head = parse_head(b"HTTP/1.1 200 OK")
    assert (head.length, head.chunked) == (None, False)


def test_chunks_win_over_a_length() -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 7")
    assert (head.length, head.chunked) == (None, True)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2",
        b"HTTP/2 200",
        b"HTTP/1.1 600 No",
        b"HTTP/1.1 20 No",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n folded: line",
        b"HTTP/1.1 200 OK\r\nname : value",
        b"",
    ],
)
def test_what_is_no_head(raw: bytes) -> None:
    with pytest.raises(NotHttpError):
        parse_head(raw)


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"0x10", b"7, 8", b"", "٣".encode()])
def test_a_length_that_is_none(length: bytes) -> None:
    with pytest.raises(NotHttpError, match="Content-Length"):
        _ = parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: " + length).length


def test_the_same_length_twice_is_one() -> None:
    assert parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7").length == 7


def test_an_encoding_that_nobody_asked_for() -> None:
    with pytest.raises(NotHttpError, match="gzip, chunked"):
        _ = parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked").chunked


@pytest.mark.parametrize(("line", "size"), [(b"0", 0), (b"1F", 31), (b"a;name=value", 10)])
def test_the_size_of_a_chunk(line: bytes, size: int) -> None:
    assert chunk_size(line) == size


@pytest.mark.parametrize("line", [b"", b"-1", b"g", b"0x1", b"1" * 16])
def test_a_size_that_is_none(line: bytes) -> None:
    with pytest.raises(NotHttpError):
        chunk_size(line)
