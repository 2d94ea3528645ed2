"""Passwords by Argon2id, in threads of their own that leave the processor to everybody else."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from flexcore.domain.errors import TooBusy

# RFC 9106's second recommendation, but for one lane: more would take several processors from the API at once.
TIME_COST: Final = 3
MEMORY_KIB: Final = 64 * 1024
LANES: Final = 1
MAX_WAITING: Final = 16
"""Beyond these a caller is told to come back: hashing takes about a tenth of a second each."""
NICE: Final = 10
"""How far the threads that hash step back behind all others."""
_MOST_THREADS: Final = 4

Result = TypeVar("Result")


def threads() -> int:
    """Return how many passwords are hashed at once on this machine: one for every two processors, at most four."""
    return max(1, min(_MOST_THREADS, (os.cpu_count() or 1) // 2))


class Argon2Passwords:
    """The port PasswordHasher."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(threads(), thread_name_prefix="argon2", initializer=_step_back)
        self._waiting = 0
        self._nobody: str | None = None

    def check_room(self) -> None:
        """Raise TooBusy if no more may wait."""
        if self._waiting >= MAX_WAITING:
            raise TooBusy("too many passwords are being checked; try again shortly", 2)

    async def hash(self, password: str) -> str:
        """Hash a password; raises TooBusy."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Compare a password; raises TooBusy."""
        return await self._run(self._verify, password_hash, password)

    async def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash or self._hash_of_nobody(), password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False

    def _hash_of_nobody(self) -> str:
        """Return a hash to compare with where there is no user, so that this takes as long as where there is one."""
        if self._nobody is None:
            self._nobody = self._hasher.hash(os.urandom(16).hex())
        return self._nobody

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Result:
        self.check_room()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


def _step_back() -> None:
    """Let this thread run when nothing else wants to."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
