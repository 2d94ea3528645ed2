"""Calls to one server: who asks, phases, deadline, retries, circuit breaker, capped bodies, and errors with a kind.

The exceptions of the network stop here. What leaves is an Answer, whatever its status, or a ClientError.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from .address import Address
from .breaker import CircuitBreaker
from .clock import Clock, Deadline, SystemClock
from .credentials import LOGIN_PATH, RENEW_AFTER, Login, is_token
from .errors import ClientError, FailureKind, InputError
from .exchange import (
    BodyTooLargeError,
    Exchange,
    NotHttpError,
    Progress,
    ProxyRefusedError,
    RawAnswer,
    Timeouts,
)
from .http_message import Body, Request
from .retry import RETRIABLE_STATUSES, RetryPolicy, retry_after_seconds
from .text import HIDDEN, printable
from .tls import TlsOptions, tls_context
from .transport_errors import NEXT_NOT_HTTP, explain_failure, explain_proxy, explain_timeout

__all__ = ["MAX_BODY_BYTES", "Answer", "HttpTransport", "Timeouts", "TlsOptions", "json_body"]

MAX_BODY_BYTES = 8 * 1024 * 1024
USER_AGENT = "flexcore-client"
IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "DELETE"})


def json_body(document: Any) -> Body:
    """Return ``document`` as the body of a request; raises InputError for what JSON does not know."""
    try:
        raw = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"this cannot be sent as JSON: {error}") from None
    return Body("application/json", len(raw), lambda: iter((raw,)))


@dataclass(frozen=True)
class Answer:
    """A complete answer; ``elapsed_ms`` runs from the start of the attempt to the last byte.

    A server that echoes the token or password does not get it into a message: they are blotted out of the body.
    """

    method: str
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
                what=f"{self.method} {self.path}",
                reason=f"answered {self.status} with a body that is not JSON ({printable(kind)}{shown})",
                next_step="Check that the address is FlexCore's and not a proxy's or another service's.",
                http_status=self.status,
            ) from None


class HttpTransport:
    """Asks one server; use it as an asynchronous context manager.

    ``timeouts.total`` is for each call with all its attempts. A ``deadline`` is for all calls together instead.
    """

    def __init__(
        self,
        address: Address,
        *,
        token: str | None = None,
        login: Login | None = None,
        timeouts: Timeouts | None = None,
        tls: TlsOptions | None = None,
        proxy: str | None = None,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
        deadline: Deadline | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.address = address
        self.clock = clock or SystemClock()
        self._token = token
        self._login = None if token else login
        self._renew_at = 0.0
        self._secrets = [secret for secret in (token, login.password if login else None) if secret]
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or RetryPolicy()
        self._breaker = breaker
        self._deadline = deadline
        self._through = "" if proxy is None else f" through the proxy {urlsplit(proxy).netloc.rpartition('@')[2]}"
        self._exchange = _exchange(address, tls or TlsOptions(), proxy)

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._exchange.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None, final: Collection[int] = ()) -> Answer:
        """GET ``path``; see ``request``."""
        return await self.request("GET", path, params, final=final)

    async def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        idempotent: bool | None = None,
        final: Collection[int] = (),
        total: float | None = None,
    ) -> Answer:
        """Ask, and return whatever came back; raises ClientError when nothing usable did.

        Where asking twice does no more than asking once (``idempotent``; by default GET, PUT and DELETE are),
        connection failures and the statuses that mean "not now" are tried again within ``total`` seconds, as the
        retry policy says. A status in ``final`` is an answer like any other. Redirects are not followed: a token must
        not travel to where another server points.
        """
        deadline = self._deadline or Deadline(self.clock, total or self._timeouts.total)
        again = method in IDEMPOTENT_METHODS if idempotent is None else idempotent
        if self._login is not None and path != LOGIN_PATH:
            await self._stay_logged_in(self._login, deadline)
        target = self.address.prefix + path + ("?" + urlencode(params, quote_via=quote) if params else "")
        request = Request(method, target, {**self._headers(path), **(headers or {})}, body)
        attempt = 0
        while True:
            attempt += 1
            outcome = await self._counted(request, path, deadline, final)
            if isinstance(outcome, Answer):
                worth_repeating = outcome.status in RETRIABLE_STATUSES and outcome.status not in final
                named = outcome.headers.get("retry-after")
            else:
                worth_repeating, named = outcome.transient, None
            pause = None
            if again and worth_repeating:
                pause = self._retry.delay(attempt, retry_after_seconds(named), deadline.remaining)
            if pause is not None:
                await self.clock.sleep(pause)
            elif isinstance(outcome, Answer):
                return outcome
            else:
                raise outcome

    async def _stay_logged_in(self, login: Login, deadline: Deadline) -> None:
        """Log in, unless there is a token that has time left."""
        if self.clock.monotonic() < self._renew_at:
            return
        self._token, seconds = await self.log_in(login, deadline.remaining)
        self._renew_at = self.clock.monotonic() + seconds * RENEW_AFTER

    async def log_in(self, login: Login, total: float | None = None) -> tuple[str, float]:
        """Exchange a name and a password for a token and return it with its seconds; raises ClientError."""
        body = json_body({"username": login.username, "password": login.password})
        answer = await self.request("POST", LOGIN_PATH, body=body, idempotent=True, total=total)
        try:
            granted = answer.json() if answer.status == 200 else None
        except ClientError:
            granted = None
        found = granted if isinstance(granted, dict) else {}
        token, lasts = found.get("access_token"), found.get("expires_in")
        if not isinstance(token, str) or not is_token(token):
            raise self._no_login(answer)
        self._secrets.append(token)
        return token, float(lasts) if isinstance(lasts, (int, float)) else 0.0

    def _no_login(self, answer: Answer) -> ClientError:
        reason, step = {
            401: ("401, the username or password is wrong", "Give valid ones (options username and password)."),
            404: ("this server does not offer a login", "Use a token (option token), or none."),
            429: ("429, too many attempts to log in", "Wait before the next attempt."),
        }.get(answer.status, (f"answered {answer.status} without a token", "Read the server's log for the cause."))
        kind = FailureKind.UNSUPPORTED if answer.status == 404 else FailureKind.HTTP_STATUS
        what = f"Logging in at {self.address.url}"
        return ClientError(kind, what=what, reason=reason, next_step=step, http_status=answer.status)

    async def _counted(
        self, request: Request, path: str, deadline: Deadline, final: Collection[int]
    ) -> Answer | ClientError:
        """Make one attempt and let the breaker know of it."""
        what = f"{request.method} {self.address.url}{path}"
        if self._breaker is None:
            return await self._attempt(request, path, what, deadline)
        self._breaker.check(what)
        try:
            outcome = await self._attempt(request, path, what, deadline)
        except BaseException:
            self._breaker.gave_up()
            raise
        if isinstance(outcome, ClientError):
            self._breaker.failed(outcome)
        elif outcome.status >= 500 and outcome.status not in final:
            self._breaker.failed(_server_error(what, outcome))
        else:
            self._breaker.succeeded()
        return outcome

    async def _attempt(self, request: Request, path: str, what: str, deadline: Deadline) -> Answer | ClientError:
        progress = Progress(self._timeouts, deadline)
        started = self.clock.monotonic()
        try:
            raw = await self._exchange.send(request, progress, MAX_BODY_BYTES)
        except asyncio.TimeoutError:
            # Timers fire up to a tick of their clock early.
            total = deadline.remaining < 0.01
            seconds = deadline.seconds if total else progress.limit
            return explain_timeout(what + self._through, progress.phase, seconds, total=total)
        except BodyTooLargeError as error:
            reason = f"the body is larger than {MAX_BODY_BYTES // 1048576} MiB"
            return self._bad_body(what, error.status, reason)
        except NotHttpError as error:
            kind, reason = FailureKind.BAD_BODY, f"the answer is not HTTP ({printable(str(error))})"
            return ClientError(kind, what=what, reason=reason, next_step=NEXT_NOT_HTTP, phase=progress.phase)
        except ProxyRefusedError as error:
            return explain_proxy(what, str(error))
        except OSError as error:
            return explain_failure(what + self._through, progress.phase, error)
        encoding = raw.headers.get("content-encoding", "identity")
        if encoding != "identity":
            return self._bad_body(what, raw.status, f"the body is {printable(encoding)}-encoded, unasked")
        elapsed = round((self.clock.monotonic() - started) * 1000, 1)
        return Answer(request.method, path, raw.status, raw.headers, self._scrubbed(raw, path), elapsed)

    def _scrubbed(self, raw: RawAnswer, path: str) -> bytes:
        body = raw.body
        for secret in self._secrets if path != LOGIN_PATH else ():
            body = body.replace(secret.encode(), HIDDEN.encode())
        return body

    def _headers(self, path: str) -> dict[str, str]:
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": USER_AGENT}
        if self._token and path != LOGIN_PATH:
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


def _exchange(address: Address, tls: TlsOptions, proxy: str | None) -> Exchange:
    # Loads h11, which a module that asks no server does without. Raises ImportError where there is none.
    from .http_exchange import HttpExchange
    from .http_proxy import Proxy

    way = None if proxy is None else Proxy(proxy, tls_context(tls, urlsplit(proxy).scheme))
    return HttpExchange(address, tls_context(tls, address.scheme), way)


def _server_error(what: str, answer: Answer) -> ClientError:
    return ClientError(
        FailureKind.HTTP_STATUS,
        what=what,
        reason=f"answered {answer.status}",
        next_step="Read the server's log for the cause.",
        http_status=answer.status,
    )
