"""What the server and the child of one execution say to each other, one JSON object a line.

A Python plugin is spoken to by `flexcore_plugin`; any other executable does it itself, on its standard input and
output. The child may ask for a connection or record an event, one at a time, and waits for the answer; a `connected`
carries one descriptor (SCM_RIGHTS). The first `result` is the answer, and nothing that follows it counts.
"""

from typing import Any, Final

import msgspec


class Run(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="type"):
    """The first line: what to do."""

    execution_id: str
    operation: str
    data: Any
    configuration: Any
    secrets: dict[str, str]
    correlation_id: str


class Connected(msgspec.Struct, frozen=True, tag="connected", tag_field="type"):
    """Here is the connection."""


class Emitted(msgspec.Struct, frozen=True, tag="emitted", tag_field="type"):
    """The event is recorded."""

    position: int


class Refused(msgspec.Struct, frozen=True, tag="refused", tag_field="type"):
    """What was asked for is not done, and why."""

    error: str


class Log(msgspec.Struct, frozen=True, tag="log", tag_field="type"):
    """A log record; its level is error, warning, info or debug."""

    message: str
    level: str = "info"


class Connect(msgspec.Struct, frozen=True, tag="connect", tag_field="type"):
    """Asks for a TCP connection."""

    host: str
    port: int


class Emit(msgspec.Struct, frozen=True, tag="emit", tag_field="type"):
    """Asks to record an event."""

    event_type: str
    aggregate_id: str
    data: msgspec.Raw


class Result(msgspec.Struct, frozen=True, tag="result", tag_field="type"):
    """The answer."""

    success: bool
    data: Any = None


class Crashed(msgspec.Struct, frozen=True, tag="crashed", tag_field="type"):
    """A Python plugin did not catch an exception; `out_of_memory` if it was refused memory."""

    error: str
    out_of_memory: bool = False


FromChild = Log | Connect | Emit | Result | Crashed
ToChild = Run | Connected | Emitted | Refused

_decoder: Final[msgspec.json.Decoder[FromChild]] = msgspec.json.Decoder(FromChild)
_encode: Final = msgspec.json.Encoder().encode


def read(line: bytearray) -> FromChild:
    """Understand a line; raises ValueError (which msgspec's errors are) or RecursionError for what is no message."""
    return _decoder.decode(line)


def written(message: ToChild) -> bytes:
    """Give a message as a line with its end."""
    return _encode(message) + b"\n"
