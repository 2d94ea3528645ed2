"""An execution's side of its channel to FlexCore: JSON lines over a unix socket, one object a line."""

import array
import json
import os
import socket
import threading
from collections.abc import Mapping
from typing import Any

_CHUNK_BYTES = 1 << 16
_ONE_DESCRIPTOR = socket.CMSG_SPACE(array.array("i").itemsize)


class OperationFailed(Exception):  # noqa: N818 - reads as the answer it gives
    """The operation could not do its work, and says why: the caller gets `success: false` with `error` and `details`.

    Any other exception is a crash of the plugin.
    """

    def __init__(self, error: str, **details: object) -> None:
        super().__init__(error)
        self.details = details


class PermissionRefused(PermissionError):  # noqa: N818 - reads as what happened
    """FlexCore does not give the plugin what it asked for, and says why."""


class Session:
    """One execution, seen from inside. Its methods may be called by any thread."""

    def __init__(self, descriptor: int) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._unread = b""
        self._descriptors: list[int] = []
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self.execution_id = ""
        self._secrets: Mapping[str, str] = {}

    def begin(self) -> dict[str, Any]:
        """Read what is to be run; ends the process if nobody asks any more."""
        request = self._receive()
        self.execution_id = request["execution_id"]
        self._secrets = request["secrets"]
        return request

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; raises TypeError, ValueError or RecursionError if it is not JSON."""
        line = json.dumps(message, allow_nan=False, ensure_ascii=False).encode() + b"\n"
        with self._sending:
            self._channel.sendall(line)

    def secret(self, name: str) -> str:
        """Return a secret; raises PermissionRefused."""
        try:
            return self._secrets[name]
        except KeyError:
            raise PermissionRefused(
                f"the secret '{name}' is not set for this plugin, or its manifest lacks it"
            ) from None

    def emit(self, event_type: str, aggregate_id: str, data: Mapping[str, Any]) -> int:
        """Record an event; raises PermissionRefused."""
        message = {"type": "emit", "event_type": event_type, "aggregate_id": aggregate_id, "data": data}
        with self._asking:
            return int(self._ask(message)["position"])

    def connect(self, host: str, port: int) -> socket.socket:
        """Have FlexCore connect for us; raises PermissionRefused."""
        with self._asking:
            self._ask({"type": "connect", "host": host, "port": port})
            return socket.socket(fileno=self._descriptors.pop())

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self.send(message)
        answer = self._receive()
        if answer["type"] == "refused":
            raise PermissionRefused(answer["error"])
        return answer

    def _receive(self) -> dict[str, Any]:
        chunks = [self._unread]
        while b"\n" not in chunks[-1]:
            chunk, ancillary, _, _ = self._channel.recvmsg(_CHUNK_BYTES, _ONE_DESCRIPTOR)
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._descriptors += array.array("i", data[: len(data) - len(data) % 4])
            if not chunk:
                os._exit(0)
            chunks.append(chunk)
        line, _, self._unread = b"".join(chunks).partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


_session: Session | None = None


def open_session(descriptor: int) -> Session:
    """Begin the one session of this process."""
    global _session
    _session = Session(descriptor)
    return _session


def is_open() -> bool:
    """Say whether this is an execution."""
    return _session is not None


def current() -> Session:
    """Return this execution's session; raises RuntimeError while the plugin is only being imported."""
    if _session is None:
        raise RuntimeError("this works while an operation runs, not while the plugin is imported")
    return _session
