"""Asks the configured services for their health, all at once, and remembers the answers for a moment."""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import httpx
import msgspec

from flexcore.application.services import ServiceView
from flexcore.domain.errors import NotFound

TIMEOUT_SECONDS: Final = 2.0
FRESH_SECONDS: Final = 5.0
_LONGEST_ANSWER: Final = 64 * 1024
_Health = Literal["healthy", "degraded", "unhealthy", "unknown"]
_MEANING: Final[Mapping[str, _Health]] = {
    **dict.fromkeys(("healthy", "ok", "up", "pass"), "healthy"),
    **dict.fromkeys(("degraded", "warn"), "degraded"),
    **dict.fromkeys(("unhealthy", "down", "fail", "error"), "unhealthy"),
}


class HttpServiceDirectory:
    """Knows FlexCore itself, described by `itself`, and each service of `urls` (name to base URL)."""

    def __init__(self, urls: Mapping[str, str], itself: Callable[[], ServiceView]) -> None:
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._itself = itself
        # Environment proxies are for reaching the outside; these services are neighbours.
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._seen: dict[str, tuple[float, ServiceView]] = {}
        self._asking: dict[str, asyncio.Task[ServiceView]] = {}

    async def list(self) -> list[ServiceView]:
        """Return every service, none older than five seconds."""
        return [self._itself(), *await asyncio.gather(*(self._view(name) for name in self._urls))]

    async def get(self, name: str) -> ServiceView:
        """Return one service; raises NotFound."""
        itself = self._itself()
        if name == itself.service_name:
            return itself
        if name not in self._urls:
            known = ", ".join((itself.service_name, *self._urls))
            raise NotFound(f"There is no service {name!r}. Known are {known}.")
        return await self._view(name)

    async def close(self) -> None:
        """Stop asking and close the connections."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        await self._client.aclose()

    async def _view(self, name: str) -> ServiceView:
        when, view = self._seen.get(name, (float("-inf"), None))
        if view is not None and time.monotonic() - when <= FRESH_SECONDS:
            return view
        # However many requests want to know, the service is asked once; none of them can cancel it for the others.
        if name not in self._asking:
            self._asking[name] = asyncio.create_task(self._ask(name), name=f"ask {name}")
        return await asyncio.shield(self._asking[name])

    async def _ask(self, name: str) -> ServiceView:
        started = time.perf_counter()
        elapsed_ms: float | None = None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                code, body = await self._fetch(self._urls[name] + "/health")
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            status, details = _judge(code, body)
        except (httpx.TimeoutException, TimeoutError):
            status, details = "unhealthy", {"message": f"no answer within {TIMEOUT_SECONDS:g} s"}
        except httpx.ConnectError as error:
            status, details = "unhealthy", {"message": _connect_reason(error)}
        except httpx.HTTPError as error:
            status, details = "unhealthy", {"message": f"broken answer ({type(error).__name__})"}
        finally:
            self._asking.pop(name, None)
        view = ServiceView(name, self._urls[name], status, elapsed_ms, datetime.now(UTC), details)
        self._seen[name] = (time.monotonic(), view)
        return view

    async def _fetch(self, url: str) -> tuple[int, bytes]:
        async with self._client.stream("GET", url) as response:
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LONGEST_ANSWER:
                    break
            return response.status_code, body


def _judge(code: int, body: bytes) -> tuple[_Health, dict[str, Any]]:
    """Read a health answer, whatever words the service uses; what can't be understood is unknown, not healthy."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    details: dict[str, Any] = {"http_status": code}
    said = ""
    if isinstance(answer, dict):
        details |= {key: answer[key] for key in ("version", "uptime") if isinstance(answer.get(key), (str, int, float))}
        said = str(answer.get("status", "")).lower()
    if code >= 500:
        return "unhealthy", details | {"message": f"answers HTTP {code}"}
    if code != 200 or said not in _MEANING:
        return "unknown", details | {"message": f"answers HTTP {code} without a status that FlexCore knows"}
    return _MEANING[said], details


def _connect_reason(error: BaseException) -> str:
    """Find the system's own words below the layers of the HTTP client."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "cannot connect"
