"""A real supervisor as a process, and a server's side of it for tests."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from flexcore.infrastructure.sandbox.messages import (
    Ended,
    Hello,
    Limits,
    Plugin,
    Start,
    ToServer,
    ToSupervisor,
)

ROOT = Path(__file__).parents[3]
PLUGINS = Path(__file__).with_name("plugins")
UNPRIVILEGED = 61000
# An interpreter that every user may run; our own is in root's home on some machines.
SYSTEM_PYTHON = "/usr/bin/python3"
LIMITS = Limits(cpu_seconds=10, memory_mb=256, processes=1, file_size_mb=16, open_files=64, work_mb=16)
DEADLINE_SECONDS = 20.0

_decoder = msgspec.json.Decoder(ToServer)


@dataclass
class Conversation:
    """One execution: the channel's other end, and what came over it and the log."""

    channel: socket.socket
    log: int
    _unread: bytes = b""
    closed: bool = field(default=False)

    def send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        line = json.dumps(message).encode() + b"\n"
        if descriptors:
            socket.send_fds(self.channel, [line], list(descriptors))
        else:
            self.channel.sendall(line)

    def receive(self) -> dict[str, Any] | None:
        """The next message, None at the end."""
        while b"\n" not in self._unread:
            try:
                chunk = self.channel.recv(1 << 16)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def messages(self) -> list[dict[str, Any]]:
        """All that comes until the end."""
        found = []
        while (message := self.receive()) is not None:
            found.append(message)
        return found

    def log_text(self) -> str:
        text = b""
        while chunk := os.read(self.log, 1 << 16):
            text += chunk
        return text.decode()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.channel.close()
            os.close(self.log)


class Server:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(DEADLINE_SECONDS)
        self.connection = connection
        self._unread = b""
        self._kept: deque[ToServer] = deque()
        self.hello = self._next()
        assert isinstance(self.hello, Hello)

    def send(self, message: ToSupervisor, descriptors: Sequence[int] = ()) -> None:
        socket.send_fds(self.connection, [msgspec.json.encode(message) + b"\n"], list(descriptors))

    def _next(self) -> ToServer:
        while b"\n" not in self._unread:
            chunk = self.connection.recv(1 << 16)
            if not chunk:
                raise EOFError("the supervisor closed the connection")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return _decoder.decode(line)

    def next(self) -> ToServer:
        return self._kept.popleft() if self._kept else self._next()

    def ended(self, execution_id: str) -> Ended:
        """Wait for the end of one execution; what else comes is kept."""
        for message in self._kept:
            if isinstance(message, Ended) and message.execution_id == execution_id:
                self._kept.remove(message)
                return message
        while True:
            message = self._next()
            if isinstance(message, Ended) and message.execution_id == execution_id:
                return message
            self._kept.append(message)

    def start(
        self,
        plugin: Plugin,
        operation: str,
        data: Mapping[str, Any] | None = None,
        *,
        execution_id: str = "e1",
        limits: Limits = LIMITS,
        wall_seconds: float = DEADLINE_SECONDS,
        configuration: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Conversation:
        ours, theirs = socket.socketpair()
        ours.settimeout(DEADLINE_SECONDS)
        reader, writer = os.pipe()
        start = Start(execution_id=execution_id, plugin=plugin, limits=limits, wall_seconds=wall_seconds)
        self.send(start, [theirs.fileno(), writer])
        theirs.close()
        os.close(writer)
        conversation = Conversation(ours, reader)
        conversation.send(
            {
                "type": "run",
                "execution_id": execution_id,
                "operation": operation,
                "data": data or {},
                "configuration": configuration or {},
                "secrets": secrets or {},
                "correlation_id": "c1",
            }
        )
        return conversation

    def run(self, plugin: Plugin, operation: str, data: Mapping[str, Any] | None = None, **options: Any) -> "Outcome":
        """Start, and wait for all there is to know."""
        conversation = self.start(plugin, operation, data, **options)
        # The log may be more than its pipe holds.
        log: list[str] = []
        reading = threading.Thread(target=lambda: log.append(conversation.log_text()))
        reading.start()
        messages = conversation.messages()
        ended = self.ended(options.get("execution_id", "e1"))
        reading.join(DEADLINE_SECONDS)
        conversation.close()
        return Outcome(messages, log[0], ended)


@dataclass
class Outcome:
    messages: list[dict[str, Any]]
    log: str
    ended: Ended

    @property
    def result(self) -> Any:
        """What the plugin answered."""
        (result,) = [message for message in self.messages if message["type"] == "result"]
        assert result["success"], result
        return result["data"]

    @property
    def crash(self) -> str:
        (crashed,) = [message for message in self.messages if message["type"] == "crashed"]
        return str(crashed["error"])


class Supervisor:
    """The process. `user` runs it as somebody else, with the system's interpreter and our libraries."""

    def __init__(self, path: Path, *arguments: str, user: int | None = None, allow: int | None = None) -> None:
        self.path = path
        self.user = os.geteuid() if user is None else user
        program = [sys.executable]
        if user is not None:
            program = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", SYSTEM_PYTHON]
        libraries = Path(msgspec.__file__).parents[1]
        self.process = subprocess.Popen(
            [
                *program,
                *("-m", "flexcore.infrastructure.sandbox.supervisor", "--listen", str(path)),
                *("--allow-user", str(os.geteuid() if allow is None else allow), *arguments),
            ],
            cwd="/",
            env={
                "PYTHONPATH": f"{ROOT}/src:{libraries}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "SECRET": "of the supervisor",
            },
        )

    def connect(self) -> Server:
        """Connect as soon as it listens."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self.path))
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                select.select([], [], [], 0.02)
                continue
            try:
                return Server(connection)
            except (EOFError, ConnectionResetError):
                connection.close()
                raise

    def launchers(self) -> set[int]:
        """One process for each plugin that it has a fork server of."""
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def descendants(self, of: int | None = None) -> set[int]:
        """Every process below it, or below one of its launchers."""
        found: list[int] = [of or self.process.pid]
        for pid in found:
            try:
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (thread / "children").read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue
        return set(found[1:])

    def stop(self) -> float:
        """End it by SIGTERM; returns how long that took."""
        begun = time.monotonic()
        self.process.terminate()
        self.process.wait(DEADLINE_SECONDS)
        return time.monotonic() - begun


def python_plugin(name: str, entry_point: str, *, python: str = SYSTEM_PYTHON, **options: Any) -> Plugin:
    """A plugin whose code is one of the files in `plugins`."""
    return Plugin(
        key=options.pop("key", f"{name}-{python}"),
        id=name,
        version="1.0",
        directory=str(options.pop("directory", PLUGINS / name)),
        python=python,
        entry_point=entry_point,
        **options,
    )
