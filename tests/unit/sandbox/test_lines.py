"""Reading and sending lines: whole ones, endless ones, too many at once, and descriptors with them."""

import asyncio
import os
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flexcore.infrastructure.sandbox import lines as lines_module
from flexcore.infrastructure.sandbox.lines import LINES_AT_ONCE, LineReader, LineSender

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop that the server runs on."""
    return "asyncio", {"use_uvloop": True}


class Heard:
    """What a reader handed on."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.ends: list[str | None] = []
        self.ended = asyncio.Event()
        self.reader: LineReader | None = None

    def line(self, line: bytearray) -> None:
        self.lines.append(bytes(line))

    def end(self, problem: str | None) -> None:
        self.ends.append(problem)
        self.ended.set()


@contextmanager
def reading(longest: int = 1000, *, cut: bool = False, full_speed: int | None = None) -> Iterator[tuple[Heard, int]]:
    """A reader, and the descriptor to write to."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    heard = Heard()
    heard.reader = LineReader(
        reader, longest=longest, on_line=heard.line, on_end=heard.end, cut=cut, full_speed=full_speed
    )
    try:
        yield heard, writer
    finally:
        heard.reader.close()
        os.close(reader)
        os.close(writer)


async def ended(heard: Heard) -> None:
    async with asyncio.timeout(10):
        await heard.ended.wait()


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_lines_come_whole_however_they_are_cut_into_pieces() -> None:
    with reading() as (heard, writer):
        for piece in (b"on", b"e\ntwo\n", b"\nth", b"ree", b"\nlast"):
            os.write(writer, piece)
            await turns(5)
        os.close(os.dup(writer))
        assert heard.lines == [b"one", b"two", b"", b"three"]
        heard.reader.drain()
        assert heard.lines[-1] == b"last"
        assert heard.ends == [None]


async def test_a_line_that_is_too_long_ends_it() -> None:
    with reading(longest=10) as (heard, writer):
        os.write(writer, b"0123456789\n0123456789x\nnever\n")
        await ended(heard)
        assert heard.lines == [b"0123456789"]
        assert heard.ends == ["a line is longer than 10 bytes"]


async def test_a_line_without_end_ends_it_before_it_takes_memory() -> None:
    with reading(longest=100_000) as (heard, writer):
        os.set_blocking(writer, False)
        tracemalloc.start()
        try:
            written = 0
            while not heard.ends:
                try:
                    written += os.write(writer, b"x" * 65536)
                except BlockingIOError:
                    await asyncio.sleep(0)
                assert written < 1 << 20
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 << 20
        assert heard.lines == []


async def test_a_long_line_is_cut_where_that_is_wanted() -> None:
    with reading(longest=10, cut=True) as (heard, writer):
        os.write(writer, b"short\n" + b"a" * 50 + b"\nnext\n" + b"b" * 11)
        await turns(5)
        os.write(writer, b"b" * 30)
        await turns(5)
        os.write(writer, b"b\nlast\n")
        await turns(5)
        assert heard.lines == [b"short", b"a" * 10, b"next", b"b" * 10, b"last"]


async def test_a_turn_of_the_loop_takes_only_some_of_many_lines() -> None:
    with reading() as (heard, writer):
        os.write(writer, b"\n" * 1000)
        counts = []
        while len(heard.lines) < 1000:
            before = len(heard.lines)
            await asyncio.sleep(0)
            counts.append(len(heard.lines) - before)
        assert max(counts) <= LINES_AT_ONCE
        assert len(heard.lines) == 1000


async def test_what_comes_without_end_is_read_slowly_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "PAUSE_SECONDS", 3600.0)
    with reading(longest=1000, full_speed=100) as (heard, writer):
        os.write(writer, b"x" * 99 + b"\n" + b"y\n")
        await turns(10)
        assert heard.lines == [b"x" * 99, b"y"]
        os.write(writer, b"z\n")
        await turns(10)
        assert heard.lines[-1] == b"y", "it waits an hour before it reads on"
        heard.reader.drain()
        assert heard.lines[-1] == b"z"


async def test_a_reader_that_is_held_hands_on_nothing_until_it_goes_on() -> None:
    with reading() as (heard, writer):
        take = heard.line

        def hold_at_two(line: bytearray) -> None:
            take(line)
            if line == b"two":
                heard.reader.hold()

        heard.reader._on_line = hold_at_two
        os.write(writer, b"one\ntwo\nthree\nfour\n" + b"\n" * 100)
        await turns(10)
        assert heard.lines == [b"one", b"two"]
        heard.reader.go_on()
        await turns(10)
        assert heard.lines[2:4] == [b"three", b"four"]
        assert len(heard.lines) == 104


async def test_a_sender_keeps_what_the_other_side_does_not_take_yet() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        sender = LineSender(ours)
        reader, writer = os.pipe()
        big = b"x" * (4 << 20) + b"\n"
        sender.send(big)
        sender.send(b"with one\n", writer)
        received, descriptors = b"", []

        def take() -> None:
            nonlocal received
            while len(received) < len(big) + 9:
                chunk, found, _, _ = socket.recv_fds(theirs, 1 << 20, 4)
                received += chunk
                descriptors.extend(found)

        await asyncio.to_thread(take)
        assert received == big + b"with one\n"
        os.write(descriptors[0], b"through")
        assert os.read(reader, 100) == b"through"
        os.close(descriptors[0])
        assert os.read(reader, 100) == b"", "the sender's own copy is closed"
        os.close(reader)
        sender.close()


async def test_a_sender_whose_other_side_is_gone_closes_what_it_was_given() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.close()
    with ours:
        sender = LineSender(ours)
        for _ in range(2):
            reader, writer = os.pipe()
            sender.send(b"hello\n", writer)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(writer)
            os.close(reader)
