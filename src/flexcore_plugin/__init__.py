"""What a plugin may import from FlexCore; it needs the standard library only.

A plugin is a class. FlexCore makes one object of it for each execution, with its configuration, and calls the method
that is named as the command, with the parameters as keywords. What the method returns is the answer, as JSON.

    class Greeter:
        def __init__(self, configuration):
            self._greeting = configuration.get("greeting", "Hello")

        def greet(self, name):
            return {"text": f"{self._greeting}, {name}!"}

Every execution is a process of its own, with a work directory of its own that is gone afterwards. There is no network
but what `connect` gives, and nothing of the host but what the plugin's permissions name.
"""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from flexcore_plugin.session import OperationFailed, PermissionRefused, current, is_open

__all__ = [
    "OperationFailed",
    "PermissionRefused",
    "connect",
    "emit",
    "execution_id",
    "log",
    "secret",
    "work_directory",
]


_PRIORITIES = {"error": 3, "warning": 4, "info": 6, "debug": 7}


def log(message: str, level: Literal["error", "warning", "info", "debug"] = "info") -> None:
    """Write a record to FlexCore's log; outside an execution, as in a plugin's own tests, to stderr.

    What a plugin prints is logged as well, a record a line.
    """
    if is_open():
        current().send({"type": "log", "level": level, "message": str(message)})
    else:
        print(f"<{_PRIORITIES[level]}>{message}", file=sys.stderr)  # noqa: T201 - there is no other log


def execution_id() -> str:
    """Return the id of this execution, which stays the same when another node begins it again.

    A plugin that changes something elsewhere hands it on, for instance as an idempotency key, so that the change
    happens once however often it is begun.
    """
    return current().execution_id


def secret(name: str) -> str:
    """Return a secret that the manifest names; raises PermissionRefused if it does not, or it is not set."""
    return current().secret(name)


def emit(event_type: str, aggregate_id: str, data: Mapping[str, Any]) -> int:
    """Record an event of a type that the manifest names, and return its position; raises PermissionRefused."""
    return current().emit(event_type, aggregate_id, data)


def connect(host: str, port: int) -> socket.socket:
    """Return a TCP connection to a host and port that the manifest names; raises PermissionRefused.

    Names are resolved outside. Common libraries connect this way by themselves; `flexcore_plugin.network` says which.
    """
    return current().connect(host, port)


def work_directory() -> Path:
    """Return the directory that is this execution's own, and its current one at the start."""
    return Path("/home/plugin")
