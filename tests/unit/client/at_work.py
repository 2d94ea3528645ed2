"""A client at work on a double, in a time that only the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError
from flexcore_client.retry import RetryPolicy
from flexcore_client.targets import parse_targets
from flexcore_client.transport import HttpTransport, Timeouts

from tests.doubles.fake_clock import FakeClock
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import HttpDouble, Reply, serving

API = "/api/v1/flexcore"
# The phases of a call are measured by the machine's clock, which a busy machine lets run ahead.
PATIENT = Timeouts(60.0, 60.0, 60.0)
Work = Callable[[FlexCoreClient], Awaitable[Any]]


def at_work(double: HttpDouble, work: Work, clock: FakeClock | None = None, api: str = "flexcore-v1") -> Any:
    """Let ``work`` ask the double, twice where asking again does no harm."""

    async def run() -> Any:
        target = parse_targets([{"url": double.url}], api=api)[0]
        transport = HttpTransport(
            target.address, timeouts=PATIENT, retry=RetryPolicy(1, random_unit=lambda: 0.0), clock=clock or FakeClock()
        )
        async with transport:
            return await work(FlexCoreClient(target, transport))

    return asyncio.run(run())


def keeping(state: FlexCoreDouble) -> AbstractContextManager[HttpDouble]:
    """Serve a FlexCore whose state is kept."""
    return serving(state)  # type: ignore[arg-type]  # it is asked with get() only


def asked(double: HttpDouble) -> list[tuple[str, dict[str, str], Any]]:
    """Return every request as ``METHOD path``, query and document."""
    return [(f"{seen.method} {seen.path}", seen.query, seen.json if seen.body else None) for seen in double.seen]


def told(error: ClientError) -> dict[str, Any]:
    """Return all that a failure says of itself."""
    return {
        "kind": error.kind.value,
        "text": str(error),
        "phase": error.phase,
        "http_status": error.http_status,
        "facts": error.facts,
    }


def busy(seconds: int) -> Reply:
    """A server that can be asked again after so many seconds."""
    return Reply({"detail": "busy"}, 503, {"Retry-After": str(seconds)})
