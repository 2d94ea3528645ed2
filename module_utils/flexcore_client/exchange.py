"""What carries a request to a server and brings its answer back, within the limits of each phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from .clock import Deadline
from .http_message import Request


@dataclass(frozen=True)
class Timeouts:
    """Seconds: ``connect`` is for TCP and again for TLS, ``read`` for each wait, ``total`` for all attempts."""

    connect: float = 3.0
    read: float = 5.0
    total: float = 5.0


class Progress:
    """Where an attempt is, so that whoever ends it can say what it was waiting for.

    The phases are connect, tls, send, first byte and body.
    """

    def __init__(self, timeouts: Timeouts, deadline: Deadline) -> None:
        self.phase = "connect"
        self._timeouts = timeouts
        self._deadline = deadline

    @property
    def limit(self) -> float:
        """Seconds that the present phase may take at most, whatever is left of the whole."""
        return self._timeouts.connect if self.phase in ("connect", "tls") else self._timeouts.read

    @property
    def allowance(self) -> float:
        """Seconds that the next wait may take."""
        return min(self.limit, self._deadline.remaining)

    @property
    def remaining(self) -> float:
        """Seconds that are left of the whole."""
        return self._deadline.remaining


@dataclass(frozen=True)
class RawAnswer:
    """What came back, whatever it says; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(eq=False)
class BodyTooLargeError(Exception):
    """The body is larger than allowed; no more than that was read of it."""

    status: int


class NotHttpError(ValueError):
    """What came is no answer in HTTP/1.1; the message says what is wrong with it."""


class ConnectionClosedError(ConnectionError):
    """The server closed the connection in good order where more was to come."""


class ProxyRefusedError(Exception):
    """The proxy does not let anybody through to the server; the message is its status and words."""


class Exchange(Protocol):
    """A way to one server.

    Raises asyncio.TimeoutError, OSError (also ssl's), NotHttpError, ProxyRefusedError, BodyTooLargeError, and
    InputError for a request that cannot be sent.
    """

    async def send(self, request: Request, progress: Progress, max_body_bytes: int) -> RawAnswer:
        """Send ``request`` and read the whole answer; ``progress`` is kept up to date and limits every wait."""

    async def close(self) -> None:
        """Close every connection."""
