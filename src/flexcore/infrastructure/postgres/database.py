"""FlexCore's connections to PostgreSQL: a pool that comes back by itself, and never leaves a caller waiting.

PostgreSQL can refuse, die, hang or return at any time. Whoever meets that first gives the pool up; from then on
callers are told at once, while one task tries to connect for as long as it takes. Every step is bounded in time
on both sides: the server cancels slow statements, and when the server itself is silent we drop the connection.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import asyncpg

from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.failures import (
    CONNECT_FAILED,
    CONNECTION_LOST,
    SERVICE,
    connection_reason,
    unavailable_statement,
)

CONNECT_SECONDS: Final = 2.0
SESSION_SECONDS: Final = 5.0
QUEUE_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 2.0
FIRST_RETRY_SECONDS: Final = 0.1
LAST_RETRY_SECONDS: Final = 1.0
# The server gives up before the client does, so that a slow statement does not cost the connection.
STATEMENT_TIMEOUT_MS: Final = 4000
LOCK_TIMEOUT_MS: Final = 3000

_log = logging.getLogger("flexcore.postgres")

Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy


class Database:
    """The pool of one process. `node_id` shows in PostgreSQL's list of sessions as `flexcore:<node_id>`."""

    def __init__(self, access: PostgresAccess, *, node_id: str, connections: int = 10) -> None:
        self._access = access
        self._application_name = f"flexcore:{node_id}"
        self._connections = connections
        # One connection more than the queue lets through is kept for the probe: load alone never looks like an outage.
        self._queue = asyncio.Semaphore(connections)
        self._pool: asyncpg.Pool | None = None
        self._reason = "PostgreSQL is not connected yet"
        self._silent = False
        self._settled = asyncio.Event()
        self._wanted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def silent(self) -> bool:
        """Whether PostgreSQL was given up because it did not answer, rather than because it ended."""
        return self._silent

    async def connect(self) -> None:
        """Start connecting, and return after the first attempt, whether it succeeded or not."""
        if self._keeper is None:
            self._wanted.set()
            self._keeper = asyncio.create_task(self._keep(), name="postgres-keeper")
        await self._settled.wait()

    async def close(self) -> None:
        """Close all connections; what still runs on them is given a few seconds."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        self._give_up("FlexCore is stopping")
        if self._retiring:
            await asyncio.wait(self._retiring)

    @asynccontextmanager
    async def session(self, *, seconds: float = SESSION_SECONDS, reserved: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection for at most `seconds`; `reserved` takes the probe's, which never waits in line.

        Raises Unavailable if PostgreSQL does not serve, or no connection came free in time.
        """
        if reserved:
            async with self._lend(seconds) as connection:
                yield connection
            return
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._queue.acquire()
        except TimeoutError:
            raise Unavailable(SERVICE, "all of this node's connections to PostgreSQL are busy") from None
        try:
            async with self._lend(seconds) as connection:
                yield connection
        finally:
            self._queue.release()

    @asynccontextmanager
    async def _lend(self, seconds: float) -> AsyncIterator[Connection]:
        pool = await self._current_pool()
        try:
            async with asyncio.timeout(seconds), _borrowed(pool) as connection:
                yield connection
        except CONNECTION_LOST as error:
            self._lost(pool, error)
            raise Unavailable(SERVICE, connection_reason(error)) from error
        except asyncpg.PostgresError as error:
            translated = unavailable_statement(error)
            if translated is None:
                raise
            raise translated from error

    async def _current_pool(self) -> asyncpg.Pool:
        if self._pool is None and not self._settled.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._settled.wait()
        if self._pool is None:
            raise Unavailable(SERVICE, self._reason)
        return self._pool

    def _lost(self, pool: asyncpg.Pool, error: BaseException) -> None:
        already_known = self._pool is not pool
        if already_known:
            return
        _log.warning("lost PostgreSQL: %s", connection_reason(error))
        self._silent = isinstance(error, TimeoutError)
        if self._silent:
            # A server that hangs leaves everybody waiting; let them all go now instead of one by one.
            pool.terminate()
        else:
            # It may just have restarted: callers wait for the first attempt, which then succeeds.
            self._settled.clear()
        self._give_up(connection_reason(error))
        self._wanted.set()

    def _give_up(self, reason: str) -> None:
        pool, self._pool, self._reason = self._pool, None, reason
        if pool is not None:
            task = asyncio.create_task(_retire(pool), name="postgres-retire")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _keep(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            delay = FIRST_RETRY_SECONDS
            while self._pool is None:
                try:
                    self._pool = await self._open()
                except CONNECT_FAILED as error:
                    if self._reason != (reason := connection_reason(error)):
                        _log.warning("no connection to PostgreSQL: %s; trying on", reason)
                    self._reason, self._silent = reason, isinstance(error, TimeoutError)
                    self._settled.set()
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LAST_RETRY_SECONDS)
            self._silent = False
            self._settled.set()
            _log.info("connected to PostgreSQL")

    async def _open(self) -> asyncpg.Pool:
        pool = asyncpg.create_pool(
            host=self._access.host,
            port=self._access.port,
            database=self._access.database,
            user=self._access.user,
            password=self._access.password,
            min_size=0,
            max_size=self._connections + 1,
            timeout=CONNECT_SECONDS,
            reset=_reset,
            server_settings={
                "application_name": self._application_name,
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "lock_timeout": str(LOCK_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
                # A plan made for a small log and kept would read all of a large one.
                "plan_cache_mode": "force_custom_plan",
            },
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await pool
                await pool.fetchval("SELECT 1")
        except BaseException:
            pool.terminate()
            raise
        return pool


@asynccontextmanager
async def _borrowed(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    connection = await pool.acquire()
    try:
        yield connection
    except asyncpg.PostgresError:
        raise
    except BaseException:
        # Cancelled or timed out in mid-statement. Asking a silent server to cancel would only wait longer.
        connection.terminate()
        raise
    finally:
        await pool.release(connection, timeout=CLOSE_SECONDS)


async def _reset(connection: asyncpg.Connection) -> None:
    """Give a connection back as it was. Nobody here changes a session's state, so that costs no round trip."""
    if connection.is_in_transaction():
        raise asyncpg.InterfaceError("a connection came back in the middle of a transaction")


async def _retire(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except CONNECT_FAILED:
        pool.terminate()
