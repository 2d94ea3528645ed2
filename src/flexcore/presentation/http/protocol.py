"""HTTP/1.1 as uvicorn speaks it, but with a problem document also for what is no HTTP request."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flexcore.application.ports import NewId
from flexcore.presentation.http.problems import bad_request, render


def problem_protocol(new_id: NewId) -> type[HttpToolsProtocol]:
    """Return the protocol class; uvicorn makes an instance of it for each connection."""

    class ProblemProtocol(HttpToolsProtocol):
        def send_400_response(self, msg: str) -> None:
            """Answer bytes that can't be understood, and close the connection."""
            correlation_id = new_id()
            error = bad_request("This is not a valid HTTP/1.1 request.")
            headers, body = render(error, path="", correlation_id=correlation_id)
            headers += [(b"x-correlation-id", correlation_id.encode()), (b"connection", b"close")]
            lines = [name + b": " + value for name, value in (*self.server_state.default_headers, *headers)]
            self.transport.write(b"\r\n".join([b"HTTP/1.1 400 Bad Request", *lines, b"", body]))
            self.transport.close()

    return ProblemProtocol
