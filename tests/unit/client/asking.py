"""Asks a FlexCore as modules do, over a real connection and with a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from flexcore_client.client import FlexCoreClient
from flexcore_client.exchange import Timeouts
from flexcore_client.targets import parse_targets
from flexcore_client.transport import HttpTransport

from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import HttpDouble

Found = TypeVar("Found")


def ask(
    double: HttpDouble, work: Callable[[FlexCoreClient], Awaitable[Found]], clock: FakeClock | None = None
) -> Found:
    """Return what ``work`` makes of a server that speaks our own dialect."""

    async def run() -> Found:
        target = parse_targets([{"url": double.url}], api="flexcore-v1")[0]
        limits = Timeouts(10, 10, 60)
        async with HttpTransport(target.address, timeouts=limits, clock=clock or FakeClock()) as transport:
            return await work(FlexCoreClient(target, transport))

    return asyncio.run(run())
