"""Proof of life of PostgreSQL and Redis from their own protocols, without credentials.

An open port proves little: a stopped process still accepts connections through the kernel's backlog. Both protocols
have a question that a server answers before it asks who is there, so the answer proves that the process runs.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from .address import Address
from .clock import Clock, Deadline
from .errors import ClientError, FailureKind
from .text import printable
from .transport_errors import explain_failure, explain_timeout

# PostgreSQL protocol, SSLRequest: length 8, code 80877103; a server answers with one byte, S or N.
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PING = b"*1\r\n$4\r\nPING\r\n"
# Both say that a Redis processes commands; the second that it wants credentials first.
REDIS_ALIVE = ("+PONG", "-NOAUTH", "-NOPERM")


@dataclass(frozen=True)
class WireAnswer:
    """What the server said; ``trouble`` is why it cannot serve now, None when it can."""

    elapsed_ms: float
    evidence: str
    trouble: str | None = None


async def probe(address: Address, deadline: Deadline, clock: Clock) -> WireAnswer:
    """Ask the server at ``address``; raises ClientError when it gives no answer, or one of another protocol."""
    ask, read_answer = (SSL_REQUEST, _postgresql) if address.service == "postgresql" else (PING, _redis)
    what = f"Asking {address.url}"
    started = clock.monotonic()
    phase = ["connect"]
    try:
        said = await asyncio.wait_for(_exchange(address, ask, phase), deadline.remaining)
    except asyncio.TimeoutError:
        raise explain_timeout(what, phase[0], deadline.seconds, total=True) from None
    except OSError as error:
        raise explain_failure(what, phase[0], error) from None
    return read_answer(what, said, round((clock.monotonic() - started) * 1000, 1))


async def _exchange(address: Address, ask: bytes, phase: list[str]) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        phase[0] = "first byte"
        writer.write(ask)
        await writer.drain()
        return await reader.read(256)
    finally:
        writer.close()


def _postgresql(what: str, said: bytes, elapsed_ms: float) -> WireAnswer:
    # Exactly one byte: an SSH server greets with "SSH-2.0…", which begins with S too.
    if said in (b"S", b"N"):
        return WireAnswer(elapsed_ms, f"answered SSLRequest with {said.decode()}")
    raise _not_this_protocol(what, said, "PostgreSQL")


def _redis(what: str, said: bytes, elapsed_ms: float) -> WireAnswer:
    line = printable(said.decode("utf-8", "replace"))
    if line.startswith(REDIS_ALIVE):
        return WireAnswer(elapsed_ms, f"answered PING with {line}")
    if line.startswith("-"):
        return WireAnswer(elapsed_ms, f"answered PING with {line}", trouble=line[1:])
    raise _not_this_protocol(what, said, "Redis")


def _not_this_protocol(what: str, said: bytes, service: str) -> ClientError:
    if not said:
        return ClientError(
            FailureKind.UNREACHABLE,
            what=what,
            reason="the connection was closed before an answer came",
            next_step=f"Read {service}'s log: it is starting, stopping, or refuses this host.",
            phase="first byte",
            transient=True,
        )
    return ClientError(
        FailureKind.BAD_BODY,
        what=what,
        reason=f"does not speak {service}'s protocol (said {printable(said.decode('utf-8', 'replace'), limit=40)!r})",
        next_step=f"Check that address and port are {service}'s.",
    )
