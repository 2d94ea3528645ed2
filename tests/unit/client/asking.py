"""Asks a FlexCore as modules do, over a real connection and with a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError
from flexcore_client.exchange import Timeouts
from flexcore_client.targets import parse_targets
from flexcore_client.transport import HttpTransport

from tests.doubles.fake_clock import FakeClock
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import HttpDouble, Reply, serving

API = "/api/v1/flexcore"
Found = TypeVar("Found")
# The phases of a call are measured by the machine's clock, which runs ahead on a busy machine.
PATIENT = Timeouts(60.0, 60.0, 60.0)


def ask(
    double: HttpDouble,
    work: Callable[[FlexCoreClient], Awaitable[Found]],
    clock: FakeClock | None = None,
    api: str = "flexcore-v1",
) -> Found:
    """Return what ``work`` makes of a server that speaks our own dialect, or another."""

    async def run() -> Found:
        target = parse_targets([{"url": double.url}], api=api)[0]
        async with HttpTransport(target.address, timeouts=PATIENT, clock=clock or FakeClock()) as transport:
            return await work(FlexCoreClient(target, transport))

    return asyncio.run(run())


def caller(calls: Callable[[FlexCoreClient], Any]) -> Callable[..., Any]:
    """Return a function that asks for one of the ``calls`` there are about a kind of thing, by its name."""

    def call(
        double: HttpDouble,
        method: str,
        *arguments: Any,
        clock: FakeClock | None = None,
        api: str = "flexcore-v1",
        **named: Any,
    ) -> Any:
        return ask(double, lambda client: getattr(calls(client), method)(*arguments, **named), clock, api)

    return call


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
