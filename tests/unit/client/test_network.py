"""What the network does where no server can be made to do its part at the right moment."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from flexcore_client.clock import Deadline
from flexcore_client.exchange import ConnectionClosedError, NotHttpError, Progress, Timeouts
from flexcore_client.network import Stream

from tests.doubles.fake_clock import FakeClock


def stream_with(seconds: float) -> Stream:
    return Stream(Progress(Timeouts(), Deadline(FakeClock(), seconds)))


def test_a_peer_that_is_always_about_to_say_more_does_not_outlast_the_deadline() -> None:
    async def read() -> bytes:
        stream = stream_with(0)
        asyncio.get_running_loop().call_soon(stream.data_received, b"HTTP/1.1 200 OK\r\n")
        return await stream.read(100)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(read())


def test_a_receiver_that_is_never_behind_does_not_outlast_the_deadline_either() -> None:
    async def write() -> None:
        stream.connection_made(transport)
        await stream.write(b"x")

    stream, transport = stream_with(0), Transport()
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(write())
    assert (stream.progress.phase, transport.told) == ("send", [])


@pytest.mark.parametrize(
    ("said", "lost", "error", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", [], ssl.SSLError, "^the server spoke before the handshake$"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", [None], ssl.SSLError, "spoke before"),
        (b"", [None], ConnectionClosedError, "^closed before the handshake$"),
        (b"", [ConnectionResetError("reset")], ConnectionResetError, "^reset$"),
    ],
)
def test_a_handshake_that_cannot_begin_is_not_waited_for_and_leaves_no_connection(
    said: bytes, lost: list[Exception | None], error: type[OSError], words: str
) -> None:
    async def shake() -> None:
        stream.connection_made(transport)
        stream.data_received(said)
        for reason in lost:
            stream.connection_lost(reason)
        await stream.start_tls(ssl.create_default_context(), "core1")

    stream, transport = stream_with(5), Transport()
    with pytest.raises(error, match=words) as caught:
        asyncio.run(shake())
    assert caught.value.errno == (ssl.SSL_ERROR_SSL if said else None), "a number without which words are a tuple"
    assert (stream.progress.phase, transport.told) == ("tls", ["abort"])


@pytest.mark.parametrize(
    ("happens", "error", "told"),
    [
        (TypeError("transport is not supported"), ssl.SSLError, (1, "TLS within TLS takes Python 3.11 or later")),
        (None, ConnectionClosedError, ("closed during the handshake",)),
        (ConnectionResetError("reset"), ConnectionResetError, ("reset",)),
    ],
)
def test_a_handshake_that_fails_is_for_the_servers_own_name_and_leaves_no_connection(
    happens: Exception | None, error: type[OSError], told: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def shake() -> None:
        async def start_tls(*what: object, **how: object) -> None:
            asked.append((what, how))
            if happens is not None:
                raise happens

        monkeypatch.setattr(asyncio.get_running_loop(), "start_tls", start_tls)
        stream.connection_made(transport)
        await stream.start_tls(context, "core1")

    stream, transport, context = stream_with(5), Transport(), ssl.create_default_context()
    with pytest.raises(error) as caught:
        asyncio.run(shake())
    assert (caught.value.args, transport.told) == (told, ["abort"])
    assert asked == [((transport, stream, context), {"server_hostname": "core1"})]


def test_an_error_of_the_connection_comes_after_what_was_received_before_it() -> None:
    async def read() -> list[bytes]:
        stream = stream_with(5)
        stream.data_received(b"HTTP/1.1 413 Too large\r\n")
        stream.connection_lost(ConnectionResetError("reset"))
        found = [await stream.read(8), await stream.read(100)]
        with pytest.raises(ConnectionResetError):
            await stream.read(100)
        return found

    assert asyncio.run(read()) == [b"HTTP/1.1", b" 413 Too large\r\n"]


def test_as_few_bytes_as_tell_http_from_another_protocol_are_waited_for_and_then_none() -> None:
    async def read() -> list[bytes]:
        stream, found = stream_with(5), []
        for said in (b"HTTP/1.", b"1", b"x"):
            stream.data_received(said)
            found.append(await stream.read(100))
        other = stream_with(5)
        other.data_received(b"SSH-2.0")
        with pytest.raises(NotHttpError, match=r"^it begins 'SSH-2\.0'$"):
            await other.read(100)
        return found

    assert asyncio.run(read()) == [b"HTTP/1.", b"1", b"x"]


class Transport(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(f"write {bytes(data)!r}")

    def abort(self) -> None:
        self.told.append("abort")


def test_a_sender_that_is_faster_than_the_reader_is_left_waiting() -> None:
    async def read() -> list[str]:
        stream, transport = stream_with(5), Transport()
        stream.connection_made(transport)
        stream.data_received(b"HTTP/1.1 " + b"x" * ((1 << 20) - 9))
        assert transport.told == []
        for _ in range(2):
            stream.data_received(b"x" * (1 << 20))
        assert transport.told == ["pause"]
        for _ in range(3):
            assert "resume" not in transport.told
            assert len(await stream.read(1 << 20)) == 1 << 20
        assert transport.told == ["pause", "resume"]
        stream.data_received(b"x" * (2 << 20))
        assert len(await stream.read(2 << 20)) == 2 << 20
        return transport.told

    assert asyncio.run(read()) == ["pause", "resume"] * 2


def test_a_sender_waits_for_a_receiver_that_is_behind_and_goes_on_after_it() -> None:
    async def write() -> None:
        stream.connection_made(transport)
        stream.pause_writing()
        loop = asyncio.get_running_loop()
        loop.call_soon(stream.data_received, b"HTTP/1.1 100 Continue\r\n\r\n")
        loop.call_soon(loop.call_soon, stream.resume_writing)
        await stream.write(b"one")
        assert not stream.answered
        await stream.write(b"two")

    stream, transport = stream_with(5), Transport()
    asyncio.run(write())
    assert transport.told == ["write b'one'", "write b'two'"]


def test_who_closes_while_a_sender_waits_gets_no_more() -> None:
    async def write() -> None:
        stream.connection_made(transport)
        stream.pause_writing()
        asyncio.get_running_loop().call_soon(stream.eof_received)
        with pytest.raises(BrokenPipeError):
            await stream.write(b"one")
        stream.resume_writing()
        with pytest.raises(BrokenPipeError):
            await stream.write(b"two")

    stream, transport = stream_with(5), Transport()
    asyncio.run(write())
    assert transport.told == ["write b'one'"]


@pytest.mark.parametrize(("host", "delay"), [("localhost", 0.25), ("core1", 0.25), ("127.0.0.1", None), ("::1", None)])
def test_a_second_address_is_tried_after_a_while_where_there_may_be_one(
    host: str, delay: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def connect() -> None:
        async def create_connection(_protocol: object, *where: object, **how: object) -> None:
            asked.append((where, how))
            raise ConnectionRefusedError

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
        with pytest.raises(ConnectionRefusedError):
            await Stream.open(progress, host, 8080)

    progress = stream_with(5).progress
    progress.phase = "first byte"
    asyncio.run(connect())
    assert progress.phase == "connect", "also after a kept connection that had ended"
    assert asked == [((host, 8080), {"happy_eyeballs_delay": delay})]


@pytest.mark.parametrize(
    ("raised", "number", "words"),
    [
        (
            OSError("Multiple exceptions: [Errno 113] Connect call failed ('::1', 1), [Errno 111] Connect call failed"),
            113,
            "No route to host",
        ),
        (OSError(113, "as it was"), 113, "as it was"),
        (socket.gaierror(-2, "no such name"), -2, "no such name"),
        (OSError("could not bind"), None, None),
    ],
)
def test_the_first_address_of_a_name_that_failed_is_told(
    raised: OSError, number: int | None, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect() -> None:
        async def create_connection(*_: object, **__: object) -> None:
            raise raised

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
        await Stream.open(stream_with(5).progress, "core1", 8080)

    with pytest.raises(OSError) as caught:  # noqa: PT011  # which one is the question
        asyncio.run(connect())
    assert (caught.value.errno, caught.value.strerror) == (number, words)
