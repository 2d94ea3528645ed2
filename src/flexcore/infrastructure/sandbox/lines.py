"""Lines over pipes and unix sockets, both ways, without ever waiting.

Nothing here is a stream of asyncio's, because those can't hand over descriptors. What comes from a plugin is hostile:
however much, fast or long it is, a turn of the event loop takes a little of it, and memory holds one line.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

READ_BYTES: Final = 1 << 16
LINES_AT_ONCE: Final = 64
"""Lines that are handed on in one turn of the event loop."""
FULL_SPEED_BYTES: Final = 8 << 20
"""So much is read as fast as it comes; then there is a pause before each read."""
PAUSE_SECONDS: Final = 0.01
# More than a pipe or a socket holds.
_MOST_READS_TO_DRAIN: Final = 64


class LineReader:
    """Reads lines from a descriptor that is set not to block, and hands each on without its end.

    `on_end` is called once, when there will be no more: with None at the end of the file, else with what is wrong. A
    line longer than `longest` bytes is wrong, unless `cut`: then its beginning is handed on and its rest dropped.
    After `full_speed` bytes the reader takes its time; None is never. The descriptor stays the caller's.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        longest: int,
        on_line: Callable[[bytearray], None],
        on_end: Callable[[str | None], None],
        cut: bool = False,
        full_speed: int | None = FULL_SPEED_BYTES,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._longest = longest
        self._on_line = on_line
        self._on_end = on_end
        self._cut = cut
        self._left = full_speed
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False
        self._held = False
        self._ended = False
        self._watching = False
        self._later: asyncio.Handle | None = None
        self._watch()

    def hold(self) -> None:
        """Hand on nothing more, and read nothing, until `go_on`."""
        self._held = True
        self._rest()

    def go_on(self) -> None:
        """Go on after `hold`."""
        if self._held and not self._ended:
            self._held = False
            self._later = self._loop.call_soon(self._proceed)

    def drain(self) -> None:
        """Take all that is there now, because nobody writes any more, and come to the end."""
        self._held = False
        self._rest()
        for _ in range(_MOST_READS_TO_DRAIN):
            self._hand_on(None)
            if self._ended or not self._take():
                break
        self._finish(None)

    def close(self) -> None:
        """Stop for good, and say nothing of it."""
        self._ended = True
        self._rest()

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.add_reader(self._descriptor, self._read)

    def _rest(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._descriptor)
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _read(self) -> None:
        if self._take():
            self._proceed()

    def _proceed(self) -> None:
        """Hand on what is there, and see to what comes next."""
        self._later = None
        all_handed_on = self._hand_on(LINES_AT_ONCE)
        if self._ended or self._held:
            return
        if not all_handed_on:
            self._rest()
            self._later = self._loop.call_soon(self._proceed)
        elif self._left is not None and self._left <= 0 and self._watching:
            self._rest()
            self._later = self._loop.call_later(PAUSE_SECONDS, self._proceed)
        else:
            self._watch()

    def _take(self) -> bool:
        """Read once; False if there is nothing now, or never again."""
        try:
            chunk = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._finish(error.strerror)
            return False
        if not chunk:
            self._finish(None)
            return False
        if self._left is not None:
            self._left -= len(chunk)
        self._buffer += chunk
        return True

    def _hand_on(self, most: int | None) -> bool:
        """Hand on whole lines; False if there are more than `most`."""
        buffer, begin = self._buffer, 0
        try:
            while not self._ended and not self._held:
                end = buffer.find(b"\n", max(begin, self._searched))
                if end < 0:
                    self._searched = len(buffer)
                    break
                if most is not None:
                    if most == 0:
                        return False
                    most -= 1
                line, begin = buffer[begin:end], end + 1
                self._searched = begin
                self._one(line)
        finally:
            del buffer[:begin]
            self._searched -= begin
        if self._searched == len(buffer) > self._longest and not self._ended:
            self._one(buffer[: self._longest + 1])
            buffer.clear()
            self._searched, self._skipping = 0, True
        return True

    def _one(self, line: bytearray) -> None:
        if self._skipping:
            self._skipping = False
        elif len(line) <= self._longest:
            self._on_line(line)
        elif self._cut:
            self._on_line(line[: self._longest])
        else:
            self._finish(f"a line is longer than {self._longest} bytes")

    def _finish(self, problem: str | None) -> None:
        if self._ended:
            return
        if problem is None:
            self._hand_on(None)
            if self._buffer and not self._skipping and not self._ended:
                self._on_line(self._buffer)
        if not self._ended:
            self.close()
            self._on_end(problem)


class LineSender:
    """Sends lines, and descriptors with them, over a unix stream socket that is set not to block.

    What the other side does not take yet is kept. What goes wrong is not told here: reading shows it as well. The
    socket stays the caller's; descriptors are closed once they are sent, or can't be.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._waiting: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._closed = False

    def send(self, line: bytes, *descriptors: int) -> None:
        """Send a line, which brings its own end; `descriptors` go with its first byte."""
        if self._closed:
            _close(descriptors)
            return
        self._waiting.append((memoryview(line), descriptors))
        if len(self._waiting) == 1 and not self._flush():
            self._loop.add_writer(self._connection.fileno(), self._writable)

    def close(self) -> None:
        """Drop what is not sent yet."""
        if not self._closed:
            self._closed = True
            self._loop.remove_writer(self._connection.fileno())
            while self._waiting:
                _close(self._waiting.popleft()[1])

    def _writable(self) -> None:
        if self._flush():
            self._loop.remove_writer(self._connection.fileno())

    def _flush(self) -> bool:
        """Send what goes; True if nothing is left."""
        while self._waiting:
            line, descriptors = self._waiting.popleft()
            try:
                if descriptors:
                    sent = socket.send_fds(self._connection, [line], descriptors)
                else:
                    sent = self._connection.send(line)
            except BlockingIOError:
                self._waiting.appendleft((line, descriptors))
                return False
            except OSError:
                _close(descriptors)
                self.close()
                return True
            _close(descriptors)
            if sent < len(line):
                self._waiting.appendleft((line[sent:], ()))
        return True


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
