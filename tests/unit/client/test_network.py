"""What the network does where no server can be made to do its part at the right moment."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from flexcore_client.clock import Deadline
from flexcore_client.exchange import Progress, Timeouts
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


def test_what_a_server_says_before_a_handshake_is_not_lost_and_waited_for() -> None:
    async def shake() -> None:
        stream = stream_with(5)
        stream.connection_made(asyncio.Transport())
        stream.data_received(b"SSH-2.0-OpenSSH_9.2\r\n")
        await stream.start_tls(ssl.create_default_context(), "core1")

    with pytest.raises(ssl.SSLError, match="spoke before the handshake"):
        asyncio.run(shake())


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


class Socket(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")


def test_a_sender_that_is_faster_than_the_reader_is_left_waiting() -> None:
    async def read() -> list[str]:
        stream, socket = stream_with(5), Socket()
        stream.connection_made(socket)
        for _ in range(3):
            stream.data_received(b"HTTP/1.1 " + b"x" * (1 << 20))
        assert socket.told == ["pause"]
        while len(await stream.read(1 << 20)) == 1 << 20:
            pass
        asyncio.get_running_loop().call_soon(stream.data_received, b"more")
        assert await stream.read(100) == b"more"
        return socket.told

    assert asyncio.run(read()) == ["pause", "resume"]
