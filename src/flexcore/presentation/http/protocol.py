"""HTTP/1.1 as uvicorn speaks it, with a limit to the head of a request and a problem document for what is no HTTP."""

from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flexcore.application.ports import NewId
from flexcore.presentation.http.problems import HttpError, bad_request, head_too_large, render

MAX_HEAD_BYTES: Final = 64 * 1024


def problem_protocol(new_id: NewId) -> type[HttpToolsProtocol]:
    """Return the protocol class; uvicorn makes an instance of it for each connection."""

    class ProblemProtocol(HttpToolsProtocol):
        _open_head: list[tuple[bytes, bytes]] | None = None
        _head_bytes = 0

        def data_received(self, data: bytes) -> None:
            """Parse what came, and refuse a head that goes on for too long: nothing else bounds it."""
            head = self._open_head
            super().data_received(data)
            if head is not None and head is self._open_head:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse(head_too_large(MAX_HEAD_BYTES))

        def on_message_begin(self) -> None:
            """Begin a head, whose first part comes in the same piece as whatever was before it."""
            super().on_message_begin()
            self._open_head, self._head_bytes = self.headers, 0

        def on_headers_complete(self) -> None:
            """End it."""
            self._open_head = None
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            """Answer bytes that can't be understood, and close the connection."""
            self._refuse(bad_request("This is not a valid HTTP/1.1 request."))

        def _refuse(self, error: HttpError) -> None:
            correlation_id = new_id()
            headers, body = render(error, path="", correlation_id=correlation_id)
            headers += [(b"x-correlation-id", correlation_id.encode()), (b"connection", b"close")]
            lines = [name + b": " + value for name, value in (*self.server_state.default_headers, *headers)]
            status = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()
            self.transport.write(b"\r\n".join([status, *lines, b"", body]))
            self.transport.close()

    return ProblemProtocol
