"""From an exception of the network to a ClientError that an operator can act on."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from .errors import ClientError, FailureKind
from .text import printable

NEXT_REFUSED = "Check that the service runs (systemctl status) and listens on this address."
NEXT_UNREACHABLE = "Check the address, that the host is up, and the network and firewall between."
NEXT_TIMEOUT = "Check whether the service hangs or is overloaded, or allow it more time."
NEXT_TLS = "Check the server's certificate, the name in the address, and the authority this client trusts (ca_path)."
NEXT_CUT = "Read the service's log: it crashed, was restarted, or something between cut the connection."
NEXT_PROXY = "Check the option proxy, its login, and whether the proxy may connect to this address."
NEXT_NOT_HTTP = "Check that the address and port are FlexCore's HTTP interface."

HOST_ERRORS = {
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTDOWN: "host is down",
    errno.EACCES: "not permitted (local firewall)",
    errno.EPERM: "not permitted (local firewall)",
}


def explain_timeout(what: str, phase: str, seconds: float, *, total: bool) -> ClientError:
    """Say which phase ran out of time; only an attempt that leaves time for another is transient."""
    reason = f"no answer within {round(seconds, 2):g} s ({PHASE_WORDS.get(phase, phase)})"
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


def explain_proxy(what: str, words: str) -> ClientError:
    """Say that the proxy is in the way; one that cannot reach the server just now may be able to soon."""
    reason = f"the proxy refused ({printable(words)})"
    kind = FailureKind.UNREACHABLE
    return ClientError(
        kind, what=what, reason=reason, next_step=NEXT_PROXY, phase="connect", transient=words.startswith("5")
    )


def explain_failure(what: str, phase: str, error: OSError) -> ClientError:
    """Classify a failed exchange by the first cause that tells something."""

    def failure(kind: FailureKind, reason: str, step: str, *, at: str = phase, transient: bool = True) -> ClientError:
        return ClientError(kind, what=what, reason=reason, next_step=step, phase=at, transient=transient)

    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = printable(cause.verify_message or str(cause))
            reason = f"certificate not trusted: {words}"
            return failure(FailureKind.TLS, reason, NEXT_TLS, at="tls", transient=False)
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLWantReadError):
            # Wanting to read is no failure: a handshake was waiting when something else went wrong.
            # An error that Python code raised, such as this client's own, has no reason of OpenSSL's.
            words = getattr(cause, "reason", None) or str(cause)
            reason = f"TLS handshake failed: {printable(words)}"
            return failure(FailureKind.TLS, reason, NEXT_TLS, at="tls", transient=False)
        if isinstance(cause, ConnectionRefusedError):
            return failure(FailureKind.REFUSED, "connection refused", NEXT_REFUSED, at="connect")
        if isinstance(cause, socket.gaierror):
            reason = f"the host name cannot be resolved ({printable(cause.strerror or str(cause))})"
            return failure(FailureKind.UNREACHABLE, reason, NEXT_UNREACHABLE, at="resolve")
        if isinstance(cause, OSError) and cause.errno in HOST_ERRORS:
            return failure(FailureKind.UNREACHABLE, HOST_ERRORS[cause.errno], NEXT_UNREACHABLE, at="connect")
    if phase == "body":
        return failure(FailureKind.BAD_BODY, "the answer broke off in the middle of its body", NEXT_CUT)
    if phase == "tls":
        reason = "the connection was closed during the TLS handshake"
        return failure(FailureKind.TLS, reason, NEXT_TLS, transient=False)
    if phase != "connect" or isinstance(error, ConnectionError):
        return failure(FailureKind.UNREACHABLE, "the connection was closed before an answer came", NEXT_CUT)
    words = printable(str(error)) or type(error).__name__
    return failure(FailureKind.UNREACHABLE, f"no connection ({words})", NEXT_UNREACHABLE)


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
