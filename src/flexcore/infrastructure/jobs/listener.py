"""Hears PostgreSQL's notifications on a connection of its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

import asyncpg

from flexcore.infrastructure.postgres.access import PostgresAccess
from flexcore.infrastructure.postgres.failures import CONNECT_FAILED, connection_reason

CONNECT_SECONDS: Final = 2.0
# A connection can die without a word, so it is tried out now and then.
TRY_OUT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0

Hear = Callable[[str, str], Awaitable[None]]
"""Takes a channel and a payload."""

_log = logging.getLogger("flexcore.jobs")


class Listener:
    """Listens for as long as it is let. A notification that is lost costs time only: everybody polls as well."""

    def __init__(self, access: PostgresAccess, *, node_id: str) -> None:
        self._access = access
        self._application_name = f"flexcore:{node_id}"

    async def listen(self, channels: Iterable[str], hear: Hear) -> None:
        """Call `hear` for each notification on `channels`; returns only by being cancelled."""
        channels = tuple(channels)
        while True:
            try:
                await self._listen(channels, hear)
            except CONNECT_FAILED as error:
                _log.debug("does not hear of new jobs at once, and polls instead: %s", connection_reason(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, channels: tuple[str, ...], hear: Hear) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await self._connect()
        lost = asyncio.Event()

        async def heard(_connection: object, _pid: int, channel: str, payload: str) -> None:
            await hear(channel, payload)

        try:
            connection.add_termination_listener(lambda _: lost.set())
            async with asyncio.timeout(CONNECT_SECONDS):
                for channel in channels:
                    await connection.add_listener(channel, heard)
            while not lost.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(TRY_OUT_SECONDS):
                        await lost.wait()
                        return
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=self._access.host,
            port=self._access.port,
            database=self._access.database,
            user=self._access.user,
            password=self._access.password,
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": self._application_name},
        )
