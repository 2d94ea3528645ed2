"""One server's connection: lines with descriptors in, lines out."""

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from flexcore.infrastructure.sandbox.messages import DESCRIPTORS_OF_START, LONGEST_LINE, Start, ToServer, ToSupervisor

_READ_BYTES: Final = 1 << 16
_MOST_DESCRIPTORS: Final = 64
_DESCRIPTOR_BYTES: Final = array.array("i").itemsize
# A server that reads nothing for so long has lost its mind.
_MOST_UNSENT_BYTES: Final = 16 << 20

_decoder: Final = msgspec.json.Decoder(ToSupervisor)
_encoder: Final = msgspec.json.Encoder()


class ProtocolError(Exception):
    """What came is not the protocol."""


class Connection:
    """Calls `received` with every message and its descriptors, and `closed` once with why, when it is over."""

    def __init__(
        self,
        peer: socket.socket,
        *,
        received: Callable[["Connection", ToSupervisor, list[int]], None],
        closed: Callable[["Connection", str], None],
    ) -> None:
        peer.setblocking(False)
        self._peer = peer
        self._received = received
        self._closed = closed
        self._unread = bytearray()
        self._unsent = bytearray()
        self._descriptors: deque[int] = deque()
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._loop.add_reader(peer, self._read)

    def send(self, message: ToServer) -> None:
        """Send a message, or keep it until the server takes it. Does nothing on a closed connection."""
        if not self._open:
            return
        idle = not self._unsent
        self._unsent += _encoder.encode(message) + b"\n"
        if idle:
            self._write()
            if self._unsent and self._open:
                self._loop.add_writer(self._peer, self._write)
        elif len(self._unsent) > _MOST_UNSENT_BYTES:
            self.close("it does not read what it is sent")

    def close(self, why: str) -> None:
        """End the connection."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._peer)
        self._loop.remove_writer(self._peer)
        self._peer.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
        self._closed(self, why)

    def _write(self) -> None:
        try:
            sent = self._peer.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(f"it broke: {error.strerror}")
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._peer)

    def _read(self) -> None:
        try:
            space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _DESCRIPTOR_BYTES)
            data, ancillary, flags, _ = self._peer.recvmsg(_READ_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(f"it broke: {error.strerror}")
            return
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors.extend(array.array("i", content[: len(content) - len(content) % _DESCRIPTOR_BYTES]))
        if not data:
            self.close("the server closed it")
            return
        self._unread += data
        try:
            self._take_lines()
        except ProtocolError as error:
            self.close(str(error))
            return
        if flags & socket.MSG_CTRUNC or len(self._descriptors) > _MOST_DESCRIPTORS:
            self.close("there came more descriptors than belong to its messages")

    def _take_lines(self) -> None:
        *lines, rest = self._unread.split(b"\n")
        self._unread = rest
        if len(rest) > LONGEST_LINE:
            raise ProtocolError(f"a line is longer than {LONGEST_LINE} bytes")
        for line in lines:
            if not self._open:
                return
            try:
                message = _decoder.decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                raise ProtocolError(f"a line is no message: {error}") from error
            self._received(self, message, self._descriptors_of(message))

    def _descriptors_of(self, message: ToSupervisor) -> list[int]:
        # They come with the first byte of their line, so those of earlier lines are first.
        if not isinstance(message, Start):
            return []
        if len(self._descriptors) < DESCRIPTORS_OF_START:
            raise ProtocolError("a start came without its two descriptors")
        return [self._descriptors.popleft() for _ in range(DESCRIPTORS_OF_START)]
