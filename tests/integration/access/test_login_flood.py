"""While passwords are guessed at full speed, everything else is answered: the guesses alone stand in line."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import httpx
import pytest

from flexcore.infrastructure.passwords import MAX_WAITING, NICE, threads
from tests.integration.access.guessing import COMPARED, NO_ROOM, guess
from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess

pytestmark = pytest.mark.anyio
CLIENTS = 2 * MAX_WAITING
COMPARISONS = 5
_NICE_FIELD = 16
"""Place of a thread's niceness in /proc/<pid>/task/<thread>/stat, counted from behind its name."""


def hashing_threads(pid: int) -> int:
    """How many threads of a process have stepped back behind the others, as those that hash do."""
    found = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # other threads come and go
            found += int(stat.read_text().rpartition(") ")[2].split()[_NICE_FIELD]) == NICE
    return found


async def test_others_are_served_while_passwords_are_guessed(flexcore: FlexCoreProcess) -> None:
    flexcore.client().close()
    at_work, served = Counter[int](), 0
    flood = asyncio.create_task(guess(flexcore.url, CLIENTS, lambda answers: answers[COMPARED] < COMPARISONS))
    async with httpx.AsyncClient(
        base_url=flexcore.url, timeout=60.0, trust_env=False, headers={"authorization": f"Bearer {TOKEN}"}
    ) as other:
        while not flood.done():
            # Not /health: whether PostgreSQL gets a processor in time is no matter of the server's.
            assert (await other.get("/health/live")).status_code == 200
            assert (await other.get("/auth/me")).status_code == 200
            served += 1
            at_work[hashing_threads(flexcore.pid)] += 1
    guesses = await flood
    # On a busy machine PostgreSQL may keep a login waiting for longer than it may, which is then said.
    assert set(guesses) - {"unavailable"} == {COMPARED, NO_ROOM}
    # Passwords are compared in a few threads of their own and nowhere else: hashed by what answers the requests, each
    # comparison would hold up an answer, and there could be no more answers than comparisons.
    assert max(at_work) == threads()
    assert served > guesses[COMPARED]
