"""While passwords are guessed at full speed, everything else is answered: the guesses alone stand in line."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

import httpx
import pytest

from flexcore.infrastructure.passwords import MAX_WAITING
from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess

pytestmark = pytest.mark.anyio
CLIENTS = 2 * MAX_WAITING
SECONDS = 3.0


async def test_others_are_served_while_passwords_are_guessed(flexcore: FlexCoreProcess) -> None:
    flexcore.client().close()
    until = time.monotonic() + SECONDS
    guesses: Counter[str] = Counter()
    served: list[float] = []

    async def guess(client: httpx.AsyncClient) -> None:
        while time.monotonic() < until:
            body = {"username": f"nobody-{time.monotonic_ns()}", "password": "wrong"}
            answer = (await client.post("/auth/login", json=body)).json()
            guesses[answer["type"].rpartition("/")[2]] += 1

    async def look(client: httpx.AsyncClient) -> None:
        while time.monotonic() < until:
            started = time.perf_counter()
            assert (await client.get("/health")).status_code == 200
            served.append((time.perf_counter() - started) * 1000)
            assert (await client.get("/auth/me")).status_code == 200
            await asyncio.sleep(0.01)

    async with AsyncExitStack() as stack:

        async def client(**more: str | httpx.AsyncHTTPTransport | dict[str, str]) -> httpx.AsyncClient:
            opened = httpx.AsyncClient(base_url=flexcore.url, timeout=30.0, trust_env=False, **more)  # type: ignore[arg-type]
            return await stack.enter_async_context(opened)

        # Every guess has a name of its own and every client an address: no pause keeps them from the hashing.
        addresses = [f"127.0.1.{number}" for number in range(1, CLIENTS + 1)]
        flood = [await client(transport=httpx.AsyncHTTPTransport(local_address=one)) for one in addresses]
        other = await client(headers={"authorization": f"Bearer {TOKEN}"})
        await asyncio.gather(look(other), *(guess(one) for one in flood))
    assert set(guesses) == {"unauthorized", "too-busy"}
    assert len(served) > 3, guesses
