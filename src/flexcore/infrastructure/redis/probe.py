"""Asks Redis whether it works, over a connection of its own."""

import contextlib
from typing import Final

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flexcore.application.ports import ProbeResult
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.redis.connection import RedisAccess

# Shorter than the monitor's limit, so that a hung server is told apart here and the connection is dropped in order.
_TIMEOUT_SECONDS: Final = 1.8


class RedisProbe:
    """Keeps one connection, named `flexcore:<node_id>` on the server, and pings over it; connects anew when it broke.

    PING also fails while Redis loads its data or can't write to its disk, so a success means that it serves.
    """

    name: Final = "redis"

    def __init__(self, access: RedisAccess, *, node_id: str) -> None:
        self._version: str | None = None
        self._redis = Redis(
            host=access.host,
            port=access.port,
            username=access.username,
            password=access.password,
            client_name=f"flexcore:{node_id}",
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            decode_responses=True,
        )

    async def check(self) -> ProbeResult:
        """Ping once; raises TimeoutError, ConnectionRefusedError or Unavailable with the server's own words."""
        try:
            await self._ping()
        except redis.exceptions.RedisError as error:
            await self._forget_connection()
            raise _cause(error) from error
        except BaseException:
            await self._forget_connection()
            raise
        return ProbeResult(self._version, "answers PING")

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

    async def _ping(self) -> None:
        if self._redis.connection is not None and self._redis.connection.is_connected:
            try:
                await self._redis.ping()
            except redis.exceptions.ConnectionError:
                # Only the old connection is known to be broken: Redis may have been restarted since.
                await self._forget_connection()
            else:
                return
        await self._redis.ping()
        self._version = await self._ask_version()

    async def _ask_version(self) -> str | None:
        answer = await self._redis.execute_command("HELLO")  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        return dict(pairs).get("version")

    async def _forget_connection(self) -> None:
        """Drop the connection, so that a late answer is never taken for that of the next question."""
        if self._redis.connection is not None:
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                await self._redis.connection.disconnect(nowait=True)


def _cause(error: redis.exceptions.RedisError) -> Exception:
    if isinstance(error, redis.exceptions.TimeoutError):
        return TimeoutError()
    if isinstance(error, redis.exceptions.AuthenticationError):
        return Unavailable("redis", f"access denied: {error}")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return Unavailable("redis", str(error))
