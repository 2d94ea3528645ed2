"""From an exception of the network to a ClientError that an operator can act on."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator, Sequence

from .errors import ClientError, FailureKind
from .text import printable

NEXT_REFUSED = "Check that the service runs (systemctl status) and listens on this address."
NEXT_UNREACHABLE = "Check the address, that the host is up, and the network and firewall between."
NEXT_TIMEOUT = "Check whether the service hangs or is overloaded, or allow it more time."
NEXT_TLS = "Check the server's certificate, the name in the address, and the authority this client trusts (ca_path)."
NEXT_CUT = "Read the service's log: it crashed, was restarted, or something between cut the connection."

HOST_ERRORS = {
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTDOWN: "host is down",
    errno.EACCES: "not permitted (local firewall)",
    errno.EPERM: "not permitted (local firewall)",
}


def explain_timeout(what: str, phase: str, seconds: float, *, total: bool) -> ClientError:
    """Say which phase ran out of time; only an attempt that leaves time for another is transient."""
    reason = f"no answer within {seconds:g} s ({PHASE_WORDS.get(phase, phase)})"
    return ClientError(
        FailureKind.TIMEOUT, what=what, reason=reason, next_step=NEXT_TIMEOUT, phase=phase, transient=not total
    )


PHASE_WORDS = {
    "connect": "while connecting",
    "tls": "in the TLS handshake",
    "send": "while sending the request",
    "first byte": "waiting for the first byte",
    "body": "while reading the body",
}


def explain_failure(what: str, phase: str, error: BaseException, secrets: Sequence[str] = ()) -> ClientError:
    """Classify a failed exchange by the first cause that tells something."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"certificate not trusted: {printable(cause.verify_message or str(cause), secrets)}"
            return ClientError(FailureKind.TLS, what=what, reason=reason, next_step=NEXT_TLS, phase="tls")
        if isinstance(cause, ssl.SSLError):
            reason = f"TLS handshake failed: {printable(cause.reason or str(cause), secrets)}"
            return ClientError(FailureKind.TLS, what=what, reason=reason, next_step=NEXT_TLS, phase="tls")
        if isinstance(cause, ConnectionRefusedError):
            return ClientError(
                FailureKind.REFUSED, what=what, reason="connection refused", next_step=NEXT_REFUSED, transient=True
            )
        if isinstance(cause, socket.gaierror):
            return ClientError(
                FailureKind.UNREACHABLE,
                what=what,
                reason=f"the host name cannot be resolved ({printable(cause.strerror or str(cause))})",
                next_step=NEXT_UNREACHABLE,
                phase="resolve",
                transient=True,
            )
        if isinstance(cause, OSError) and cause.errno in HOST_ERRORS:
            return ClientError(
                FailureKind.UNREACHABLE,
                what=what,
                reason=HOST_ERRORS[cause.errno],
                next_step=NEXT_UNREACHABLE,
                phase="connect",
                transient=True,
            )
    if phase == "connect":
        reason = f"no connection ({printable(str(error), secrets) or type(error).__name__})"
        return ClientError(
            FailureKind.UNREACHABLE, what=what, reason=reason, next_step=NEXT_UNREACHABLE, phase=phase, transient=True
        )
    if phase == "tls":
        reason = "the connection was closed during the TLS handshake"
        return ClientError(FailureKind.TLS, what=what, reason=reason, next_step=NEXT_TLS, phase=phase)
    if phase == "body":
        reason = "the answer broke off in the middle of its body"
        return ClientError(
            FailureKind.BAD_BODY, what=what, reason=reason, next_step=NEXT_CUT, phase=phase, transient=True
        )
    return _no_answer(what, phase, error, secrets)


def _no_answer(what: str, phase: str, error: BaseException, secrets: Sequence[str]) -> ClientError:
    words = printable(str(error), secrets)
    if any(isinstance(cause, ConnectionError) for cause in _causes(error)) or "disconnected" in words or not words:
        reason = "the connection was closed before an answer came"
        return ClientError(
            FailureKind.UNREACHABLE, what=what, reason=reason, next_step=NEXT_CUT, phase=phase, transient=True
        )
    return ClientError(
        FailureKind.BAD_BODY,
        what=what,
        reason=f"the answer is not HTTP ({words})",
        next_step="Check that the address and port are FlexCore's HTTP interface.",
        phase=phase,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what it was raised from: libraries wrap the cause that matters two or three deep."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        queue += [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]
