"""Guesses passwords at a server as fast as it lets one, so that only its own bounds keep it from hashing all the time.

Every guess has a name of its own and every client an address of its own: no pause keeps them from the hashing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx

LONGEST_SECONDS = 600.0
"""Far more than it takes: this only ends what hangs."""
COMPARED, NO_ROOM = "unauthorized", "too-busy"
"""What becomes of a guess: it was compared with a password, or there was no room for it."""


async def guess(url: str, clients: int, going_on: Callable[[Counter[str]], bool]) -> Counter[str]:
    """Guess with so many clients while `going_on` says so of the answers; gives how many there were of each."""
    answers: Counter[str] = Counter()

    async def keep_guessing(client: httpx.AsyncClient) -> None:
        while going_on(answers):
            body = {"username": f"nobody-{time.monotonic_ns()}", "password": "wrong"}
            answer = (await client.post("/auth/login", json=body)).json()
            answers[answer["type"].rpartition("/")[2]] += 1

    async with AsyncExitStack() as stack:
        flood = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=url,
                    timeout=LONGEST_SECONDS,
                    trust_env=False,
                    transport=httpx.AsyncHTTPTransport(local_address=f"127.0.1.{number}"),
                )
            )
            for number in range(1, clients + 1)
        ]
        guessing = [asyncio.create_task(keep_guessing(client)) for client in flood]
        ended, others = await asyncio.wait(guessing, return_when=asyncio.FIRST_COMPLETED)
        for task in others:  # they stand in line, for as long as a busy machine takes to hash
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for task in ended:
            task.result()
    return answers
