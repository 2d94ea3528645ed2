"""How FlexCore reaches Redis: every step bounded in time, every failure one `Unavailable`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flexcore.domain.errors import Unavailable

SERVICE: Final = "redis"
COMMAND_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """Address and credentials. The password stays out of every representation."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)


def client(access: RedisAccess, *, node_id: str) -> Redis:
    """Return a client that connects when it is used; its connections are named `flexcore:<node_id>` on the server.

    Use it inside `bounded` only.
    """
    return Redis(
        host=access.host,
        port=access.port,
        username=access.username,
        password=access.password,
        client_name=f"flexcore:{node_id}",
        # With this, redis-py calls asyncio.wait_for, which in Python 3.11 can lose a cancellation: then nothing ends,
        # and no time limit holds. `bounded` sets the limits instead.
        socket_timeout=None,
        socket_connect_timeout=COMMAND_SECONDS,
        # Whoever asks tries again by itself, and later.
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


@asynccontextmanager
async def bounded(seconds: float | None = COMMAND_SECONDS) -> AsyncIterator[None]:
    """Give what the block asks of Redis so long, connecting included (None: as long as it says itself).

    Raises Unavailable if it takes longer or fails.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (redis.exceptions.RedisError, OSError) as error:
        raise Unavailable(SERVICE, _reason(error)) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, (TimeoutError, redis.exceptions.TimeoutError)):
        return "Redis does not answer"
    if isinstance(error, redis.exceptions.AuthenticationError):
        return "Redis refuses FlexCore's user"
    if isinstance(error, redis.exceptions.BusyLoadingError):
        return "Redis is loading its data"
    if isinstance(error, (redis.exceptions.ConnectionError, OSError)):
        return "Redis can't be reached"
    return f"Redis refuses: {error}"
