"""One GET after another to one server over httpx: phases, deadline, retries, capped bodies, and errors with a kind.

The library's exceptions stop here. What leaves is an Answer, whatever its status, or a ClientError.
"""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .address import Address
from .clock import Clock, Deadline, SystemClock
from .errors import ClientError, FailureKind, InputError
from .http_library import httpx
from .retry import RETRIABLE_STATUSES, RetryPolicy, retry_after_seconds
from .text import HIDDEN, printable
from .transport_errors import explain_failure, explain_timeout

MAX_BODY_BYTES = 8 * 1024 * 1024
USER_AGENT = "flexcore-client"
# What httpx is doing, as its trace hook tells it, in the words of an operator.
PHASE_OF_TRACE = {
    "connection.connect_tcp.started": "connect",
    "connection.start_tls.started": "tls",
    "http11.send_request_headers.started": "send",
    "http11.receive_response_headers.started": "first byte",
    "http11.receive_response_body.started": "body",
}


@dataclass(frozen=True)
class Timeouts:
    """Seconds: ``connect`` covers name resolution, TCP and TLS, ``read`` each wait, ``total`` all attempts."""

    connect: float = 3.0
    read: float = 5.0
    total: float = 5.0


@dataclass(frozen=True)
class TlsOptions:
    """Whom to trust: the system's authorities, or those in ``ca_path``; ``validate`` false trusts anybody."""

    ca_path: str | None = None
    validate: bool = True


@functools.lru_cache(maxsize=8)
def tls_context(tls: TlsOptions, scheme: str) -> ssl.SSLContext:
    """Build the context once for all servers: loading the authorities takes 30 ms, which plain HTTP is spared.

    Raises InputError when ``ca_path`` cannot be read.
    """
    if scheme != "https":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=tls.ca_path)
    except OSError as error:
        reason = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise InputError(f"ca_path {tls.ca_path} cannot be used: {reason}") from None
    if not tls.validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Answer:
    """A complete answer; ``elapsed_ms`` runs from the start of the attempt to the last byte.

    A server that echoes the token does not get it into a message: it is blotted out of the body.
    """

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: float

    @property
    def text(self) -> str:
        """A printable excerpt of the body."""
        return printable(self.body[:4096].decode("utf-8", "replace"))

    def json(self) -> Any:
        """Decode the body; raises ClientError (bad_body) with an excerpt when it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "no content type").split(";")[0]
            shown = f" that begins {self.text[:80]!r}" if self.body else ", empty"
            raise ClientError(
                FailureKind.BAD_BODY,
                what=f"GET {self.path}",
                reason=f"answered {self.status} with a body that is not JSON ({printable(kind)}{shown})",
                next_step="Check that the address is FlexCore's and not a proxy's or another service's.",
                http_status=self.status,
            ) from None


class HttpTransport:
    """Asks one server; use it as an asynchronous context manager."""

    def __init__(
        self,
        address: Address,
        *,
        token: str | None = None,
        timeouts: Timeouts | None = None,
        tls: TlsOptions | None = None,
        retry: RetryPolicy | None = None,
        deadline: Deadline | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.address = address
        self._token = token
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or RetryPolicy()
        self._clock = clock or SystemClock()
        self._deadline = deadline or Deadline(self._clock, self._timeouts.total)
        self._pool = httpx.AsyncHTTPTransport(
            verify=tls_context(tls or TlsOptions(), address.scheme),
            trust_env=False,
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=1),
        )

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._pool.aclose()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """GET ``path`` and return whatever came back; raises ClientError when nothing usable did.

        Connection failures and the statuses that mean "not now" are tried again within the deadline, as the retry
        policy says. Redirects are not followed: a token must not travel to where another server points.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = await self._attempt(path, params or {})
            except ClientError as error:
                pause = self._retry.delay(attempt, None, self._deadline.remaining) if error.transient else None
                if pause is None:
                    raise
            else:
                if answer.status not in RETRIABLE_STATUSES:
                    return answer
                named = retry_after_seconds(answer.headers.get("retry-after"))
                pause = self._retry.delay(attempt, named, self._deadline.remaining)
                if pause is None:
                    return answer
            await self._clock.sleep(pause)

    async def _attempt(self, path: str, params: Mapping[str, str]) -> Answer:
        what = f"GET {self.address.url}{path}"
        phase, opened = "connect", None

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            nonlocal phase, opened
            phase = PHASE_OF_TRACE.get(event, phase)
            if event == "connection.connect_tcp.complete":
                opened = info["return_value"]

        limits = {"connect": self._timeouts.connect, "read": self._timeouts.read, "write": self._timeouts.read}
        request = httpx.Request(
            "GET",
            self.address.url + path,
            params=dict(params) or None,
            headers=self._headers(),
            extensions={"timeout": limits, "trace": trace},
        )
        started = self._clock.monotonic()
        try:
            status, headers, body = await asyncio.wait_for(self._exchange(request, what), self._deadline.remaining)
        except asyncio.TimeoutError:
            if phase == "tls" and opened is not None:
                # The library forgets a connection whose handshake is cancelled.
                await opened.aclose()
            raise explain_timeout(what, phase, self._deadline.seconds, total=True) from None
        except httpx.TimeoutException:
            seconds = self._timeouts.connect if phase in ("connect", "tls") else self._timeouts.read
            raise explain_timeout(what, phase, seconds, total=False) from None
        except (httpx.TransportError, OSError) as error:
            raise explain_failure(what, phase, error) from None
        elapsed = (self._clock.monotonic() - started) * 1000
        return Answer(path, status, headers, body, round(elapsed, 1))

    async def _exchange(self, request: httpx.Request, what: str) -> tuple[int, dict[str, str], bytes]:
        response = await self._pool.handle_async_request(request)
        try:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding != "identity":
                raise self._bad_body(what, response.status_code, f"the body is {printable(encoding)}-encoded, unasked")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise self._bad_body(
                        what, response.status_code, f"the body is larger than {MAX_BODY_BYTES // 1048576} MiB"
                    )
        finally:
            await response.aclose()
        if self._token:
            body = body.replace(self._token.encode(), HIDDEN.encode())
        return response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body)

    def _headers(self) -> dict[str, str]:
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        return headers

    @staticmethod
    def _bad_body(what: str, status: int, reason: str) -> ClientError:
        return ClientError(
            FailureKind.BAD_BODY,
            what=what,
            reason=reason,
            next_step="Check that the address is FlexCore's and not a proxy's or another service's.",
            http_status=status,
        )
