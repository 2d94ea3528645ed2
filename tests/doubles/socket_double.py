"""A TCP server in a thread for what no well-behaved server does: silence, rubbish, a cut in the middle."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One accepted connection; ``released`` is set when the test is over."""

    socket: socket.socket
    released: threading.Event

    def request(self) -> bytes:
        """Read until the end of a request's head."""
        head = b""
        while b"\r\n\r\n" not in head and (part := self.socket.recv(4096)):
            head += part
        return head

    def reset(self) -> None:
        """Close with RST rather than FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Behaviour = Callable[[Connection], None]


@dataclass
class SocketDouble:
    """The running double."""

    port: int
    sent: list[bytes] = field(default_factory=list)

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}"


@contextlib.contextmanager
def behaving(behaviour: Behaviour) -> Iterator[SocketDouble]:
    """Let ``behaviour`` deal with every connection to a free loopback port."""
    released = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def deal(accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError):
            behaviour(Connection(accepted, released))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                thread = threading.Thread(target=deal, args=(accepted,), daemon=True)
                threads.append(thread)
                thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield SocketDouble(listener.getsockname()[1])
    finally:
        released.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def saying(answer: bytes) -> Behaviour:
    """Answer whatever comes with ``answer``, then close."""

    def behaviour(connection: Connection) -> None:
        connection.socket.recv(4096)
        connection.socket.sendall(answer)

    return behaviour


def silent(connection: Connection) -> None:
    """Accept, read, and never answer: a process that was stopped looks like this."""
    connection.socket.recv(4096)
    connection.released.wait()


def closing(connection: Connection) -> None:
    """Close as soon as the request is there."""
    connection.request()


def resetting(connection: Connection) -> None:
    """Reset as soon as the request is there."""
    connection.request()
    connection.reset()


def dripping(connection: Connection) -> None:
    """Send a body of a megabyte, one byte every 20 ms, which keeps every single read within its limit."""
    connection.request()
    connection.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
    while not connection.released.wait(0.02):
        connection.socket.sendall(b" ")


def breaking_off(connection: Connection) -> None:
    """Promise a hundred bytes and close after ten."""
    connection.request()
    connection.socket.sendall(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"status":'
    )


def flooding(connection: Connection) -> None:
    """Send a body of 100 MB, as long as somebody reads it."""
    connection.request()
    connection.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        connection.socket.sendall(b" " * 65536)
