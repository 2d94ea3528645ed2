"""A sandbox supervisor whose children are threads, for what the server does with whatever they say.

It isolates nothing, so it proves nothing about isolation; those tests have the real one.
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

import msgspec

from flexcore.infrastructure.sandbox.messages import (
    Ended,
    Hello,
    Kill,
    Measure,
    NotWarmed,
    Refused,
    Retire,
    Start,
    ToServer,
    ToSupervisor,
    Warm,
    Warmed,
)

HELLO = Hello(measures=(Measure(name="namespaces", enforced=True, detail="all of them"),))


class Child:
    """What a plugin's code has: its channel, its log, and the first line that it was sent."""

    def __init__(self, channel: socket.socket, log: int) -> None:
        self.channel = channel
        self.log = log
        self.lines = channel.makefile("rb")
        self.run: dict[str, Any] = json.loads(self.lines.readline() or b"{}")

    def say(self, **message: Any) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def write(self, content: bytes) -> None:
        self.channel.sendall(content)

    def ask(self, **message: Any) -> dict[str, Any]:
        self.say(**message)
        return self.hear()

    def hear(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines.readline())
        return found

    def connect(self, host: str, port: int) -> tuple[dict[str, Any], socket.socket | None]:
        """Ask for a connection, as the only thing that is on its way."""
        self.say(type="connect", host=host, port=port)
        line, descriptors, _, _ = socket.recv_fds(self.channel, 1 << 16, 1)
        return json.loads(line), socket.socket(fileno=descriptors[0]) if descriptors else None

    def print(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            rest = rest[os.write(self.log, rest) :]


Behaviour = Callable[[Child], Ended | None]


class SandboxDouble:
    """Runs `behaviours[operation]` for each execution; what one returns is how it ended, None is well.

    `connect` is for the server's side of it. Every connection is one more supervisor.
    """

    def __init__(self, **behaviours: Behaviour) -> None:
        self.behaviours: Mapping[str, Behaviour] = behaviours
        self.hello: bytes | None = msgspec.json.encode(HELLO) + b"\n"
        self.started: list[Start] = []
        self.killed: list[str] = []
        self.retired: list[str] = []
        self.warm_error: str | None = None
        self.warm_refused: tuple[Refused, ...] = ()
        self.down = False
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._children: dict[str, socket.socket] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down = True
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a child does not end"

    async def connect(self) -> socket.socket:
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        server, mine = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ends.append(mine)
        self._thread(self._serve, mine)
        return server

    def hang_up(self) -> None:
        """Break all connections, and end what runs."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for execution_id, channel in list(self._children.items()):
            self.killed.append(execution_id)
            with suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)

    def tell(self, message: ToServer | bytes) -> None:
        """Say something on the latest connection."""
        content = message if isinstance(message, bytes) else msgspec.json.encode(message) + b"\n"
        with self._lock, suppress(OSError):
            self._ends[-1].sendall(content)

    def _thread(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, end: socket.socket) -> None:
        if self.hello is not None:
            self.tell(self.hello)
        for message, descriptors in _messages(end):
            match message:
                case Start():
                    self.started.append(message)
                    self._thread(self._run, message, *descriptors)
                case Kill():
                    self.killed.append(message.execution_id)
                    with suppress(KeyError, OSError):
                        self._children[message.execution_id].shutdown(socket.SHUT_RDWR)
                case Warm() if self.warm_error is None:
                    self.tell(Warmed(key=message.plugin.key, ms=1, refused=self.warm_refused))
                case Warm():
                    self.tell(NotWarmed(key=message.plugin.key, error=self.warm_error))
                case Retire():
                    self.retired.append(message.key)
        end.close()

    def _run(self, start: Start, channel_fd: int, log: int) -> None:
        execution_id = start.execution_id
        channel = self._children[execution_id] = socket.socket(fileno=channel_fd)
        end: Ended | None = None
        try:
            child = Child(channel, log)
            end = self.behaviours[child.run["operation"]](child)
        except (OSError, ValueError, KeyError):
            if execution_id not in self.killed and not self.down:
                raise
        finally:
            os.close(log)
            child.lines.close()
            channel.close()
            del self._children[execution_id]
        if execution_id in self.killed:
            end = Ended(execution_id=execution_id, how="killed")
        elif end is None:
            end = Ended(execution_id=execution_id, how="exited", exit_code=0, cpu_ms=2, peak_memory_bytes=3 << 20)
        else:
            end = msgspec.structs.replace(end, execution_id=execution_id)
        self.tell(end)


def _messages(end: socket.socket) -> Iterator[tuple[ToSupervisor, list[int]]]:
    buffer, descriptors = b"", []
    while True:
        try:
            chunk, received, _, _ = socket.recv_fds(end, 1 << 16, 16)
        except OSError:
            return
        if not chunk:
            return
        descriptors.extend(received)
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            message = msgspec.json.decode(line, type=ToSupervisor)
            number = 2 if isinstance(message, Start) else 0
            yield message, descriptors[:number]
            del descriptors[:number]
