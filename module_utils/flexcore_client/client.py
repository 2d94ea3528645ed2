"""A FlexCore as its users see it, whichever dialect it speaks, with its errors in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from . import normalise
from .dialects import DIALECTS, Dialect, detect, forced_dialect
from .errors import ClientError, FailureKind
from .http_message import Body
from .log_query import MOST_LINES, LogQuery
from .models import LogRecord, PluginInfo
from .targets import Target
from .transport import Answer, HttpTransport, json_body

PAGE = 50
# More pages than this are a server that repeats itself.
MOST_PAGES = 200
LOG_ROUTES = ("/api/v1/flexcore/logs", "/api/v1/logs")
OURS = DIALECTS["flexcore-v1"]
REDIRECTED = "a redirect, which is not followed"


class FlexCoreClient:
    """Asks one FlexCore over a transport; every method raises ClientError when the server gives no usable answer."""

    def __init__(self, target: Target, transport: HttpTransport) -> None:
        self.url = target.address.url
        self.clock = transport.clock
        self.evidence = f"forced by api: {target.api}"
        self._transport = transport
        self._dialect = forced_dialect(target.api)
        self._said: dict[str, Any] = {}

    async def dialect(self) -> Dialect:
        """Find out once which dialect the server speaks; an unknown one is ClientError (unsupported)."""
        if self._dialect is None:
            self._dialect, self.evidence = await detect(await self._once("/health", also=(503,)), self._once)
            if self._dialect is None:
                raise self.unsupported(f"this is no FlexCore API that the client knows ({self.evidence})")
        return self._dialect

    async def about(self) -> dict[str, Any]:
        """Return what the server says of itself: ``/info``, or where there is none what ``/health`` knows beside."""
        try:
            return self.checked(await self._once("/info"))
        except ClientError as error:
            if error.kind is not FailureKind.UNSUPPORTED and error.http_status != 404:
                raise
        return self.checked(await self._once("/health", also=(503,)))

    async def require(self, offer: str) -> None:
        """Raise ClientError (unsupported) unless the server speaks our own dialect, the only one with ``offer``."""
        dialect = await self.dialect()
        if dialect is not OURS:
            raise self.unsupported(f"this server ({dialect.name}) does not offer {offer}")

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """GET ``path`` and decode the answer."""
        return self._decoded(await self._transport.get(path, params))

    async def find(self, path: str, also: tuple[int, ...] = ()) -> dict[str, Any] | None:
        """GET one thing; None when the server says that there is none. Statuses in ``also`` are as good as 200."""
        answer = await self._transport.get(path, final=also)
        if answer.status == 404 and self._words(answer) is not None:
            return None
        return self.checked(self._decoded(answer, also))

    async def change(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        idempotent: bool | None = None,
        total: float | None = None,
    ) -> dict[str, Any]:
        """Have something changed, and return what the server says about it, nothing for 204.

        ``document`` is sent as JSON unless it is a Body already. With a ``key`` the server does it once however often
        it is asked, and the request carries the key as its correlation id too, so that what came of it can be found.
        """
        headers = {"idempotency-key": key, "x-correlation-id": key} if key else None
        answer = await self._transport.request(
            method,
            path,
            params,
            document if document is None or isinstance(document, Body) else json_body(document),
            headers=headers,
            idempotent=True if key else idempotent,
            total=total,
        )
        return {} if answer.status == 204 else self.checked(self._decoded(answer))

    async def pages(self, path: str, name: str, params: Mapping[str, str] | None = None) -> list[Any]:
        """Read a whole list that comes in pages by offset."""
        found: list[Any] = []
        for page in range(MOST_PAGES):
            asked = {**(params or {}), "limit": str(PAGE), "offset": str(page * PAGE)}
            part = self.items(await self.get(path, asked), name)
            found += part
            if len(part) < PAGE:
                break
        return found

    async def plugins(self) -> list[PluginInfo]:
        """Return all plugins, in the server's order."""
        dialect = await self.dialect()
        if dialect.paged:
            items = await self.pages(dialect.plugins, "plugins")
        else:
            items = self.items(await self._offered(dialect.plugins, "plugins", dialect), "plugins")
        return [plugin for plugin in map(normalise.plugin, items) if plugin is not None]

    async def plugin(self, plugin_id: str) -> PluginInfo | None:
        """Return one plugin, None when the server has none of this id."""
        dialect = await self.dialect()
        if not dialect.paged:
            # Other dialects have no such route, or one that answers for any name.
            return next((plugin for plugin in await self.plugins() if plugin.id == plugin_id), None)
        return normalise.plugin(await self.find(f"{dialect.plugins}/{quote(plugin_id, safe='')}"))

    async def logs(self, query: LogQuery) -> list[LogRecord]:
        """Return the newest log records that ``query`` asks for, newest last."""
        return (await self.log_read(query))[0]

    async def log_read(self, query: LogQuery) -> tuple[list[LogRecord], bool]:
        """Return the same, and whether older records that nobody looked at might have been wanted too."""
        for route in LOG_ROUTES:
            asked = query.parameters()
            # The route of the client guide knows the number of lines only: what it gives is filtered here.
            asked = asked if route == LOG_ROUTES[0] else {"lines": asked["lines"]}
            answer = await self._transport.get(route, asked)
            if answer.status == 404:
                continue
            items = normalise.items_of(self._decoded(answer), "logs")
            if items is None:
                raise self.bad_body(f"GET {self.url}{route}", "has no list of logs")
            found = query.select([normalise.log_record(item) for item in items])
            return found, len(items) >= MOST_LINES and len(found) < query.lines
        raise self.unsupported("this server does not offer its logs over HTTP")

    async def post_any(self, path: str, document: Any, seconds: float) -> Any:
        """POST to another dialect's route, whose answer may be anything."""
        return self._decoded(await self._transport.request("POST", path, body=json_body(document), total=seconds))

    def checked(self, document: Any) -> dict[str, Any]:
        """Return an answer that has to be an object."""
        if not isinstance(document, dict):
            raise self.bad_body(f"Asking {self.url}", "is no JSON object")
        return document

    def text(self, document: Mapping[str, Any], name: str) -> str:
        """Return a text that an answer has to hold."""
        found = document.get(name)
        if not isinstance(found, str):
            raise self.bad_body(f"Asking {self.url}", f"has no {name}")
        return found

    def items(self, document: Any, name: str) -> list[Any]:
        """Return the list ``name`` of an answer."""
        found = normalise.items_of(document, name)
        if found is None:
            raise self.bad_body(f"Reading the {name} of {self.url}", f"has no list of {name}")
        return found

    def bad_body(self, what: str, reason: str) -> ClientError:
        """Build the error for an answer of another form than the dialect has."""
        return ClientError(
            FailureKind.BAD_BODY,
            what=what,
            reason=f"the answer {reason}",
            next_step="Check the server's version, or force its API with the option api.",
        )

    def unsupported(self, reason: str) -> ClientError:
        """Build the error for what the server does not have."""
        return ClientError(
            FailureKind.UNSUPPORTED,
            what=f"Asking {self.url}",
            reason=reason,
            next_step="Use a server that offers it, or another source.",
        )

    async def _once(self, path: str, also: tuple[int, ...] = ()) -> Any:
        """GET ``path`` the first time; who the server is does not change while it is asked."""
        if path not in self._said:
            self._said[path] = self._decoded(await self._transport.get(path, final=also), also)
        return self._said[path]

    async def _offered(self, path: str, name: str, dialect: Dialect) -> Any:
        answer = await self._transport.get(path)
        if answer.status == 404:
            raise self.unsupported(f"this server ({dialect.name}) does not offer {name}: {path} is 404")
        return self._decoded(answer)

    def _decoded(self, answer: Answer, also: tuple[int, ...] = ()) -> Any:
        """Decode a good answer; anything else becomes an error in the server's own words."""
        if 200 <= answer.status < 300 or answer.status in also:
            return answer.json()
        words = self._words(answer)
        if answer.status == 405 or (answer.status == 404 and words is None):
            raise self.unsupported(f"this server does not offer {answer.method} {answer.path}: {answer.status}")
        kind = FailureKind.HTTP_STATUS
        if answer.status == 401:
            reason, step = "401, the token is missing or not accepted", "Give a valid token (option token)."
        elif answer.status == 403:
            said = f": {words}" if words else ""
            reason, step = f"403, the token does not allow this{said}", "Use a token with a role that allows this."
        elif 300 <= answer.status < 400:
            reason, step = f"{answer.status}, {REDIRECTED}", "Give FlexCore's own address."
        else:
            kind = FailureKind.HTTP_STATUS if words is None else FailureKind.API_ERROR
            reason = f"answered {answer.status}: {words or answer.text or 'an empty body'}"
            step = "Read the server's log for the cause." if answer.status >= 500 else "Check the request."
        raise ClientError(
            kind,
            what=f"{answer.method} {self.url}{answer.path}",
            reason=reason,
            next_step=step,
            http_status=answer.status,
        )

    @staticmethod
    def _words(answer: Answer) -> str | None:
        try:
            return normalise.error_text(answer.json())
        except ClientError:
            return None
