"""What can go wrong between the client and a server, each with its own kind and its own words.

Every error says what was asked of whom, why it failed and what to do next. None of them holds a secret: addresses are
shown without user information, and text that a server sent is scrubbed of the token before it is quoted.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any


class FailureKind(str, enum.Enum):
    """Why a call gave no usable answer; one that did is ok, and has an answer instead."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TLS = "tls"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http_status"
    BAD_BODY = "bad_body"
    API_ERROR = "api_error"
    UNSUPPORTED = "unsupported"


class ClientError(Exception):
    """A call that failed.

    ``reason`` is short enough for a table cell ("connection refused"), ``str(error)`` is the whole sentence.
    ``phase`` names where the time ran out: resolve, connect, tls, send, first byte, body or total.
    ``facts`` is what a program may want to know of the failure beyond its kind, such as the fields that were wrong.
    """

    def __init__(
        self,
        kind: FailureKind,
        *,
        what: str,
        reason: str,
        next_step: str,
        transient: bool = False,
        phase: str | None = None,
        http_status: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{what}: {reason.rstrip('.')}. {next_step}")
        self.kind = kind
        self.what = what
        self.reason = reason
        self.next_step = next_step
        self.transient = transient
        self.phase = phase
        self.http_status = http_status
        self.facts = dict(facts or {})


class InputError(ValueError):
    """Something the caller gave is wrong: an address, a duration, a file. The message says what is allowed."""
