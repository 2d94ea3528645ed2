"""One connection that speaks HTTP/1.1: h11 knows what may be said and what was, this when to send and when to wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import InputError
from .exchange import BodyTooLargeError, ConnectionClosedError, NotHttpError, ProxyRefusedError, RawAnswer
from .http_library import h11
from .http_message import Body, Request
from .network import Stream

READ_BYTES = 1 << 16
# Proxies and gateways add headers; nothing that an operator meets adds more than this.
MAX_HEAD_BYTES = 100 * 1024


class HttpConnection:
    """Asks one thing after the other over ``stream``. Raises what an Exchange does."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: what came after an answer would be taken for the answer to that."""
        unasked, _ = self._protocol.trailing_data
        return self._protocol.our_state is h11.IDLE and not unasked and self.stream.usable

    async def ask(self, request: Request, max_body_bytes: int) -> RawAnswer:
        """Send ``request`` and read the whole answer."""
        with self._own_errors():
            head = await self._begin(request)
            self.stream.progress.phase = "body"
            headers: dict[str, str] = {}
            for raw_name, raw_value in head.headers:
                name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            if int(headers.get("content-length", "0")) > max_body_bytes:
                raise BodyTooLargeError(head.status_code)
            body = bytearray()
            while isinstance(event := await self._next(), h11.Data):
                body += event.data
                if len(body) > max_body_bytes:
                    raise BodyTooLargeError(head.status_code)
            if self._protocol.our_state is self._protocol.their_state is h11.DONE:
                self._protocol.start_next_cycle()
        return RawAnswer(head.status_code, headers, bytes(body))

    async def connect(self, authority: str, headers: Mapping[str, str]) -> None:
        """Make the stream a tunnel to ``authority``, if a proxy is at its end; raises ProxyRefusedError."""
        with self._own_errors():
            head = await self._begin(Request("CONNECT", authority, {"host": authority, **headers}))
        if head.status_code >= 300:
            raise ProxyRefusedError(f"{head.status_code} {head.reason.decode('latin-1')}")
        # What came behind the proxy's answer is the server's, and the first that it says in the tunnel.
        unasked, _ = self._protocol.trailing_data
        self.stream.data_received(unasked)

    async def _begin(self, request: Request) -> h11.Response:
        """Send the whole request and read the head of its answer."""
        try:
            for data in self._said(request):
                await self.stream.write(data)
        except BrokenPipeError:
            # The server wants no more of it, and may have said why.
            pass
        while not isinstance(event := await self._next(), h11.Response):
            # An answer before the answer: 100 and 103.
            pass
        return event

    def _said(self, request: Request) -> Iterator[bytes]:
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in request.all_headers.items()]
        head = h11.Request(method=request.method, target=request.target, headers=headers)
        yield self._protocol.send(head) or b""
        if request.body is not None:
            for part in _counted(request.body):
                yield self._protocol.send(h11.Data(data=part)) or b""
        self._protocol.send(h11.EndOfMessage())

    async def _next(self) -> Any:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(await self.stream.read(READ_BYTES))
        return event

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Turn h11's errors into those of an Exchange; those of the network pass through it as they are."""
        try:
            yield
        except h11.RemoteProtocolError as error:
            if self.stream.ended:
                raise ConnectionClosedError(str(error)) from error
            raise NotHttpError(str(error)) from error
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # Its own words may hold the header at fault, and so a secret.
            raise InputError("the request cannot be sent: its path or one of its headers holds what none may") from None


def _counted(body: Body) -> Iterator[bytes]:
    sent = 0
    try:
        for part in body.parts():
            sent += len(part)
            if sent > body.length:
                break
            yield part
    except OSError as error:
        # Not the network's, as which it would be told.
        raise InputError(f"the request cannot be sent: its body cannot be read: {error.strerror}") from None
    if sent != body.length:
        more = "at least " if sent > body.length else ""
        raise InputError(
            f"the request cannot be sent: its body is {more}{sent} bytes long, announced were {body.length}"
        )
