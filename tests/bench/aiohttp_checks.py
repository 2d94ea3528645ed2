"""The peer of the fan-out: aiohttp, one request a target, status and field checked."""

import asyncio
import time
from collections.abc import Sequence

import aiohttp

CONCURRENCY = 100


def checks_per_second(urls: Sequence[str]) -> float:
    """Check every target once and return how many a second that were."""

    async def run() -> int:
        gate = asyncio.Semaphore(CONCURRENCY)

        async def one(session: aiohttp.ClientSession, url: str) -> bool:
            async with gate, session.get(f"{url}/health") as response:
                document = await response.json()
                return response.status == 200 and document["status"] == "healthy"

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return sum(await asyncio.gather(*(one(session, url) for url in urls)))

    started = time.perf_counter()
    healthy = asyncio.run(run())
    elapsed = time.perf_counter() - started
    assert healthy == len(urls)
    return healthy / elapsed
