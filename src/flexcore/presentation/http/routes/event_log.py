"""The event log as a whole: follow it, verify it."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from msgspec import Meta, Struct

from flexcore.application.feed import Feed
from flexcore.application.verification import MAX_POSITION, Verification, Verifier
from flexcore.domain.errors import InvalidInput, TooBusy
from flexcore.presentation.http.encoding import encode
from flexcore.presentation.http.operations import UNCACHED, Answer, Call, Content, Operation

SILENCE_SECONDS: Final = 10.0
"""After so long without an event a comment is sent, so that both sides see whether the other is still there."""

_Position = Annotated[int, Meta(ge=0, le=MAX_POSITION)]


class StreamQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from"}):
    """Parameters of GET events/stream."""

    first: Annotated[
        _Position | None, Meta(description="First position to send; by default only what is recorded from now on")
    ] = None


class VerifyQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """Parameters of GET events/verify."""

    first: Annotated[int, Meta(ge=1, le=MAX_POSITION, description="First position to check")] = 1
    last: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_POSITION)] | None,
        Meta(description="Last position to check; the end of the log by default"),
    ] = None


class EventLogRoutes:
    """/api/v1/flexcore/events/stream and /verify."""

    def __init__(self, feed: Feed, verifier: Verifier) -> None:
        self._feed = feed
        self._verifier = verifier
        self._verifying = False

    def operations(self) -> tuple[Operation, ...]:
        """Declare the routes."""
        return (
            Operation(
                method="GET",
                path="/api/v1/flexcore/events/stream",
                name="streamEvents",
                summary="Events as server-sent events, as they are recorded; resumes after Last-Event-ID",
                tag="events",
                handler=self._stream,
                query=StreamQuery,
                resumable=True,
                answers={200: Content(None, "Events; each id is its position", "text/event-stream")},
                problems=(429, 503),
            ),
            Operation(
                method="GET",
                path="/api/v1/flexcore/events/verify",
                name="verifyEvents",
                summary="Recompute the chain of hashes, and compare it with this node's signed checkpoints",
                tag="events",
                handler=self._verify,
                query=VerifyQuery,
                answers={200: Content(Verification, "What was found")},
                problems=(429, 503),
            ),
        )

    async def _stream(self, call: Call[StreamQuery, None]) -> Answer:
        self._feed.check_room()
        after = _last_event(call.last_event_id)
        if after is None:
            after = await self._feed.head() if call.query.first is None else max(0, call.query.first - 1)
        return Answer(self._events(after), headers=UNCACHED)

    async def _events(self, after: int) -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        sent = time.monotonic()
        async for events in self._feed.follow(after):
            if events:
                yield b"".join(
                    b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.type.encode(), encode(event))
                    for event in events
                )
                sent = time.monotonic()
            elif time.monotonic() - sent > SILENCE_SECONDS:
                yield b": nothing new\n\n"
                sent = time.monotonic()

    async def _verify(self, call: Call[VerifyQuery, None]) -> Answer:
        if self._verifying:
            raise TooBusy("this node verifies the event log already; wait for it to end", retry_after_seconds=10)
        self._verifying = True
        try:
            return Answer(await self._verifier.verify(call.query.first, call.query.last))
        finally:
            self._verifying = False


def _last_event(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdecimal() or int(text) > MAX_POSITION:
        raise InvalidInput.field("Last-Event-ID", "must be the id of an event that was sent before")
    return int(text)
