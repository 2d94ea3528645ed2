"""Judging the system calls of others: the listener of a seccomp filter."""

import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Final

from flexcore.infrastructure.sandbox.launcher import linux
from flexcore.infrastructure.sandbox.launcher.syscalls import numbers

_NOTIFICATION: Final = struct.Struct("=QIIiIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")
_ADD_DESCRIPTOR: Final = struct.Struct("=QIIII")
_CONTINUE: Final = 1
_AT_THIS_NUMBER: Final = 1

_READ_WRITE, _WRITE = 3, 1
_MAGIC: Final = ord("!")


def _command(direction: int, size: int, number: int) -> int:
    return direction << 30 | size << 16 | _MAGIC << 8 | number


_RECEIVE: Final = _command(_READ_WRITE, _NOTIFICATION.size, 0)
_SEND: Final = _command(_READ_WRITE, _RESPONSE.size, 1)
_ADD: Final = _command(_WRITE, _ADD_DESCRIPTOR.size, 3)

_NAMES: Final = {number: name for name, number in numbers(linux.MACHINE).items()}


@dataclass(frozen=True, slots=True)
class Notification:
    """A system call that waits for our word. `thread` is who makes it, as we count processes."""

    id: int
    thread: int
    name: str
    arguments: tuple[int, ...]


class Listener:
    """Every method but `receive` raises OSError (ENOENT) when the caller is gone meanwhile."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Give the descriptor, which is readable when somebody waits."""
        return self._descriptor

    def receive(self) -> Notification | None:
        """Take the next call, None if its caller is gone."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, buffer)
        except FileNotFoundError:
            return None
        id_, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        return Notification(id_, thread, _NAMES.get(number, str(number)), tuple(arguments))

    def proceed(self, notification: Notification) -> None:
        """Let the kernel do what was asked.

        Only for calls that are decided by their registers: memory could have changed since.
        """
        self._respond(notification, 0, _CONTINUE)

    def refuse(self, notification: Notification, error: int) -> None:
        """Let the call fail."""
        self._respond(notification, -error, 0)

    def succeed(self, notification: Notification) -> None:
        """Let the call return 0, with nothing done."""
        self._respond(notification, 0, 0)

    def give(self, notification: Notification, descriptor: int, number: int) -> None:
        """Put a copy of our descriptor into the caller, at this number."""
        request = _ADD_DESCRIPTOR.pack(notification.id, _AT_THIS_NUMBER, descriptor, number, 0)
        fcntl.ioctl(self._descriptor, _ADD, request)

    def close(self) -> None:
        """Stop listening; calls that would be judged fail from now on."""
        os.close(self._descriptor)

    def _respond(self, notification: Notification, error: int, flags: int) -> None:
        fcntl.ioctl(self._descriptor, _SEND, _RESPONSE.pack(notification.id, 0, error, flags))
