"""The live channel over Redis' publish and subscribe.

Nobody who publishes waits for Redis: a task sends what has gathered, and messages that Redis doesn't take in time are
dropped, since every listener also looks by itself. Another task listens and connects again whenever it has to.
"""

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from flexcore.application.background import Background
from flexcore.application.ports import LiveMessage
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.redis.connection import RedisAccess, bounded, client

CHANNEL: Final = "flexcore:live"
# Of these only the newest matters, and it replaces one that was not sent yet.
LATEST_ONLY: Final = frozenset({"events", "projections"})
MOST_UNSENT: Final = 1000
# Publishing many times a second costs Redis and us no more than this often.
PACE_SECONDS: Final = 0.025
FIRST_RETRY_SECONDS: Final = 0.1
LAST_RETRY_SECONDS: Final = 1.0
# A connection that is silent for so long is asked whether it still works.
SILENCE_SECONDS: Final = 5.0

Callback = Callable[[LiveMessage], None]

_logger = logging.getLogger("flexcore.cluster")


class RedisLiveChannel:
    """One process' end of the channel; `origin` names the process, for it hears its own messages without Redis."""

    def __init__(self, access: RedisAccess, *, node_id: str, origin: str) -> None:
        self._redis = client(access, node_id=node_id)
        self._origin = origin
        self._callbacks: defaultdict[str, list[Callback]] = defaultdict(list)
        self._unsent: dict[str | int, dict[str, Any]] = {}
        self._numbers = itertools.count()
        self._wanted = asyncio.Event()
        self._background = Background()
        self._connected = False

    @property
    def connected(self) -> bool:
        """Whether this node hears the others."""
        return self._connected

    def start(self) -> None:
        """Begin sending and listening."""
        self._background.run("live channel sender", self._keep_sending)
        self._background.run("live channel listener", self._keep_listening)

    async def close(self) -> None:
        """Send what is left, if Redis takes it, and hang up."""
        await self._background.close()
        with suppress(Unavailable):
            await self._send()
        with suppress(Unavailable):
            async with bounded():
                await self._redis.aclose()

    def publish(self, kind: str, **fields: Any) -> None:
        """Send a small message; returns at once and never raises. This node's listeners are called right here."""
        message = {"kind": kind, **fields}
        key = kind if kind in LATEST_ONLY else next(self._numbers)
        self._unsent.pop(key, None)
        self._unsent[key] = message
        if len(self._unsent) > MOST_UNSENT:
            del self._unsent[next(iter(self._unsent))]
        self._wanted.set()
        self._deliver(message)

    def subscribe(self, kind: str, callback: Callback) -> Callable[[], None]:
        """Call `callback`, which must not block, for each message of a kind; call what is returned to end that."""
        callbacks = self._callbacks[kind]
        callbacks.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):
                callbacks.remove(callback)

        return unsubscribe

    def _deliver(self, message: LiveMessage) -> None:
        for callback in tuple(self._callbacks.get(message["kind"], ())):
            try:
                callback(message)
            except Exception:
                _logger.exception("a listener for %s failed", message["kind"])

    async def _keep_sending(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self._send()
            except Unavailable:
                # The listener says in the log that Redis is away.
                await asyncio.sleep(LAST_RETRY_SECONDS)
            else:
                await asyncio.sleep(PACE_SECONDS)

    async def _send(self) -> None:
        messages = list(self._unsent.values())
        self._unsent.clear()
        self._wanted.clear()
        if not messages:
            return
        async with bounded(), self._redis.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.publish(CHANNEL, msgspec.json.encode({**message, "origin": self._origin}))
            await pipeline.execute()

    async def _keep_listening(self) -> None:
        delay = FIRST_RETRY_SECONDS
        reason = None
        while True:
            try:
                await self._listen()
            except Unavailable as error:
                if self._connected or str(error) != reason:
                    _logger.warning("the other nodes are not heard: %s; trying on", error)
                    reason = str(error)
                delay = FIRST_RETRY_SECONDS if self._connected else min(delay * 2, LAST_RETRY_SECONDS)
                self._connected = False
            await asyncio.sleep(delay)

    async def _listen(self) -> None:
        pubsub = self._redis.pubsub()
        try:
            async with bounded():
                await pubsub.subscribe(CHANNEL)
            while True:
                async with bounded(None):
                    heard = await pubsub.get_message(timeout=SILENCE_SECONDS)
                    if heard is None:
                        async with bounded():
                            await pubsub.ping()
                        heard = await pubsub.get_message(timeout=SILENCE_SECONDS)
                        if heard is None:
                            raise TimeoutError
                self._connected = True
                if heard["type"] == "message":
                    self._receive(heard["data"])
        finally:
            with suppress(Unavailable):
                async with bounded():
                    await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

    def _receive(self, text: str) -> None:
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
            kind, origin = message["kind"], message.pop("origin")
        except (msgspec.MsgspecError, KeyError):
            _logger.warning("the live channel carried what is no message of FlexCore")
            return
        if isinstance(kind, str) and origin != self._origin:
            self._deliver(message)
