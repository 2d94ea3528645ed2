"""A FlexCore as its users see it: plugins and logs, whichever dialect it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from . import normalise
from .dialects import Dialect, detect, forced_dialect
from .errors import ClientError, FailureKind
from .log_query import LogQuery
from .models import LogRecord, PluginInfo
from .targets import Target
from .transport import Answer, HttpTransport

PAGE = 50
# More pages than this are a server that repeats itself.
MOST_PAGES = 200
LOG_ROUTES = ("/api/v1/flexcore/logs", "/api/v1/logs")


class FlexCoreClient:
    """Reads one FlexCore over a transport; every method raises ClientError when the server gives no usable answer."""

    def __init__(self, target: Target, transport: HttpTransport) -> None:
        self._target = target
        self._transport = transport
        self._dialect = forced_dialect(target.api)

    async def dialect(self) -> Dialect:
        """Find out once which dialect the server speaks; an unknown one is ClientError (unsupported)."""
        if self._dialect is None:
            health = self._decoded(await self._transport.get("/health"), also=(503,))
            self._dialect, evidence = await detect(health, self._get)
            if self._dialect is None:
                raise self._unsupported(f"this is no FlexCore API that the client knows ({evidence})")
        return self._dialect

    async def plugins(self) -> list[PluginInfo]:
        """Return all plugins, in the server's order."""
        dialect = await self.dialect()
        if not dialect.paged:
            return self._plugins_in(await self._offered(dialect.plugins, "plugins", dialect))
        found: list[PluginInfo] = []
        for page in range(MOST_PAGES):
            document = await self._get(dialect.plugins, {"limit": str(PAGE), "offset": str(page * PAGE)})
            part = self._plugins_in(document)
            found += part
            if len(part) < PAGE:
                break
        return found

    async def plugin(self, plugin_id: str) -> PluginInfo | None:
        """Return one plugin, None when the server has none of this id."""
        dialect = await self.dialect()
        if not dialect.paged:
            # Other dialects have no such route, or one that answers for any name.
            return next((plugin for plugin in await self.plugins() if plugin.id == plugin_id), None)
        answer = await self._transport.get(f"{dialect.plugins}/{quote(plugin_id, safe='')}")
        return None if answer.status == 404 else normalise.plugin(self._decoded(answer))

    async def logs(self, query: LogQuery) -> list[LogRecord]:
        """Return the newest log records that ``query`` asks for, newest last."""
        for route in LOG_ROUTES:
            full = route == LOG_ROUTES[0]
            # The route of the client guide knows the number of lines only: what it gives is filtered here.
            answer = await self._transport.get(route, query.parameters() if full else {"lines": str(query.lines)})
            if answer.status == 404:
                continue
            items = normalise.items_of(self._decoded(answer), "logs")
            if items is None:
                raise self._bad_body(answer, "has no list of logs")
            return query.select([normalise.log_record(item) for item in items])
        raise self._unsupported("this server does not offer its logs over HTTP")

    def _plugins_in(self, document: Any) -> list[PluginInfo]:
        items = normalise.items_of(document, "plugins")
        if items is None:
            raise ClientError(
                FailureKind.BAD_BODY,
                what=f"Reading the plugins of {self._target.address.url}",
                reason="the answer has no list of plugins",
                next_step="Check the server's version, or force its API with the option api.",
            )
        return [plugin for plugin in map(normalise.plugin, items) if plugin is not None]

    async def _offered(self, path: str, name: str, dialect: Dialect) -> Any:
        answer = await self._transport.get(path)
        if answer.status == 404:
            raise self._unsupported(f"this server ({dialect.name}) does not offer {name}: {path} is 404")
        return self._decoded(answer)

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        return self._decoded(await self._transport.get(path, params))

    def _decoded(self, answer: Answer, also: tuple[int, ...] = ()) -> Any:
        """Decode a good answer; anything else becomes an error in the server's own words."""
        if answer.status == 200 or answer.status in also:
            return answer.json()
        what = f"GET {self._target.address.url}{answer.path}"
        if answer.status == 401:
            reason, step = "401, the token is missing or not accepted", "Give a valid token (option token)."
        elif answer.status == 403:
            reason, step = "403, the token does not allow this", "Use a token with a role that may read this."
        elif 300 <= answer.status < 400:
            reason, step = f"{answer.status}, a redirect, which is not followed", "Give FlexCore's own address."
        else:
            words = self._words(answer)
            kind = FailureKind.HTTP_STATUS if words is None else FailureKind.API_ERROR
            reason = f"answered {answer.status}: {words or answer.text or 'an empty body'}"
            step = "Read the server's log for the cause." if answer.status >= 500 else "Check the request."
            raise ClientError(kind, what=what, reason=reason, next_step=step, http_status=answer.status)
        raise ClientError(FailureKind.HTTP_STATUS, what=what, reason=reason, next_step=step, http_status=answer.status)

    def _words(self, answer: Answer) -> str | None:
        try:
            return normalise.error_text(answer.json())
        except ClientError:
            return None

    def _bad_body(self, answer: Answer, reason: str) -> ClientError:
        return ClientError(
            FailureKind.BAD_BODY,
            what=f"GET {self._target.address.url}{answer.path}",
            reason=f"the answer {reason}",
            next_step="Check the server's version, or force its API with the option api.",
            http_status=answer.status,
        )

    def _unsupported(self, reason: str) -> ClientError:
        return ClientError(
            FailureKind.UNSUPPORTED,
            what=f"Asking {self._target.address.url}",
            reason=reason,
            next_step="Use a server that offers it, or another source.",
        )
