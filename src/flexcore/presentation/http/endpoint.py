"""Serves one path: picks the operation by method, checks access and input, calls the handler, encodes its answer."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from flexcore.application.audit import Audit, StampedRecord
from flexcore.domain.access import ANONYMOUS_NAME, Actor, ActorKind, Role
from flexcore.domain.errors import FlexCoreError, Forbidden
from flexcore.presentation.http.access import AccessPolicy, check_role, source
from flexcore.presentation.http.auditing import CORRELATION, CallAudit
from flexcore.presentation.http.encoding import encode
from flexcore.presentation.http.operations import Answer, Call, NoBody, Operation
from flexcore.presentation.http.problems import HttpError, from_failure, not_found
from flexcore.presentation.http.uploads import FORM, is_form
from flexcore.presentation.http.validation import (
    decode_body,
    decode_query,
    has_no_body,
    idempotency_key,
    last_event_id,
    read_body,
)

ROUTE: Final = "flexcore.route"
"""Scope key: the path template of the request's route, for metrics and the log."""

_JSON: Final = b"application/json"


class Endpoint:
    """An ASGI application for one path. Failures leave it as HttpError, for the observer to answer."""

    def __init__(
        self, operations: Sequence[Operation], access: AccessPolicy, audit: Audit, max_body_bytes: int
    ) -> None:
        self._path = operations[0].path
        self._calls: dict[str, _Caller] = {
            operation.method: _Caller(operation, access, audit, max_body_bytes) for operation in operations
        }
        if "GET" in self._calls:
            self._calls["HEAD"] = self._calls["GET"]  # uvicorn leaves the body of the answer out
        self._allow = ", ".join(sorted(self._calls))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope[ROUTE] = self._path
        caller = self._calls.get(scope["method"])
        if caller is None:
            detail = f"{scope['method']} is not allowed here; allowed are {self._allow}."
            raise HttpError(405, "method-not-allowed", "Method not allowed", detail, headers={"allow": self._allow})
        await caller.serve(scope, receive, send)


class _Caller:
    def __init__(self, operation: Operation, access: AccessPolicy, audit: Audit, max_body_bytes: int) -> None:
        self._operation = operation
        self._access = access
        self._role = operation.required_role
        self._audit = CallAudit(audit, operation.name)
        self._max_body_bytes = max_body_bytes if operation.max_body_bytes is None else operation.max_body_bytes
        self._decoder = msgspec.json.Decoder(NoBody if operation.body is None else operation.body)
        self._may_be_empty = operation.body is None or not operation.body_required
        self._headers = {
            status: [(b"content-type", content.media_type.encode())] if content.media_type else []
            for status, content in operation.answers.items()
        }
        self._json = {status for status, content in operation.answers.items() if content.media_type == _JSON.decode()}
        self._good = min(operation.answers)
        self._query = functools.lru_cache(maxsize=16)(lambda text: decode_query(text, operation.query))

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._operation
        actor = await self._actor(scope)
        if operation.audited:
            answer = await self._audited(scope, receive, actor)
        else:
            answer = await self._answer(await self._call(scope, receive, actor))
        headers = [*self._headers[answer.status]]
        headers.extend((name.encode(), value.encode()) for name, value in answer.headers.items())
        if isinstance(answer.content, AsyncIterator):
            await _stream(answer, headers, receive, send)
            return
        content = encode(answer.content) if answer.status in self._json else answer.content or b""
        headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _actor(self, scope: Scope) -> Actor:
        if self._role is None:
            return _anonymous(scope)
        actor = None
        try:
            actor = await self._access.actor(scope)
            check_role(actor, self._role)
        except (HttpError, Forbidden) as error:
            refusal = error if isinstance(error, HttpError) else from_failure(error)
            self._audit.refused(scope, actor or _anonymous(scope), refusal)
            raise refusal from error
        return actor

    async def _audited(self, scope: Scope, receive: Receive, actor: Actor) -> Answer:
        target = scope["path"]
        try:
            call = await self._call(scope, receive, actor, self._record(scope, actor))
            if self._operation.target is not None:
                target = self._operation.target(call)
            answer = await self._answer(call)
        except HttpError as error:
            await self._audit.failed(scope, actor, target, error)
            raise
        except BaseException:
            self._audit.broken_off(scope, actor, target)
            raise
        if answer.recorded:
            return answer
        try:
            await self._audit.succeeded(scope, answer.actor or actor, target, answer.status)
        except FlexCoreError as error:
            raise from_failure(error) from error
        return answer

    def _record(self, scope: Scope, actor: Actor) -> Callable[[], StampedRecord]:
        return functools.partial(self._audit.stamped, scope, actor, self._good)

    async def _call(
        self, scope: Scope, receive: Receive, actor: Actor, record: Callable[[], StampedRecord] | None = None
    ) -> Call[Any, Any]:
        operation = self._operation
        query = self._query(scope["query_string"])
        key = idempotency_key(scope) if operation.idempotent else None
        body = await self._body(scope, receive) if operation.reads_body else None
        resume = last_event_id(scope) if operation.resumable else None
        return Call(scope["path_params"], query, body, scope[CORRELATION], actor, key, resume, record)

    async def _answer(self, call: Call[Any, Any]) -> Answer:
        try:
            return await self._operation.handler(call)
        except FlexCoreError as error:
            raise from_failure(error) from error

    async def _body(self, scope: Scope, receive: Receive) -> Any:
        declared = self._operation.body
        if self._may_be_empty and has_no_body(scope):
            return None if declared is None else declared()
        uploads = self._operation.uploads
        if uploads is not None and is_form(scope):
            return await uploads.receive(scope, receive)
        content = await read_body(scope, receive, self._max_body_bytes, or_sent_as=None if uploads is None else FORM)
        body = decode_body(content, self._decoder)
        return None if declared is None else body


def _anonymous(scope: Scope) -> Actor:
    return Actor(ANONYMOUS_NAME, Role.VIEWER, ActorKind.ANONYMOUS, source(scope))


async def _stream(answer: Answer, headers: list[tuple[bytes, bytes]], receive: Receive, send: Send) -> None:
    """Send what the answer's iterator gives, until it ends or the client goes."""
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def pass_on() -> None:
        async for chunk in answer.content:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    sending = asyncio.create_task(pass_on())
    gone = asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        for task in (sending, gone):
            task.cancel()
        await asyncio.wait((sending, gone))
        with contextlib.suppress(AttributeError):
            await answer.content.aclose()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def no_such_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 404 for a path that has no route."""
    raise not_found("There is nothing at this path. GET /openapi.json lists what there is.")
