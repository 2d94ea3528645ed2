"""Events of our own dialect: read them, record one once, and verify their chain."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from .client import FlexCoreClient
from .errors import ClientError, FailureKind

EVENTS = "/api/v1/flexcore/events"
PAGE = 1000
# An aggregate with more events than this is looked through no further: 200,000.
MOST_PAGES = 200


class EventCalls:
    """What can be done about events; every method raises ClientError."""

    def __init__(self, client: FlexCoreClient) -> None:
        self._client = client

    async def each(self, wanted: Mapping[str, str], page: int = PAGE) -> AsyncIterator[dict[str, Any]]:
        """Yield the events that ``wanted`` asks for, in the order they were recorded."""
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            asked = {**wanted, "limit": str(page), **({"cursor": cursor} if cursor else {})}
            answer = await self._client.get(EVENTS, asked)
            for event in self._client.items(answer, "events"):
                if isinstance(event, dict):
                    yield event
            cursor = answer.get("next_cursor") if isinstance(answer, dict) and answer.get("has_more") else None
            if not cursor:
                return

    async def some(self, wanted: Mapping[str, str], limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return at most ``limit`` events, and whether there are more."""
        found: list[dict[str, Any]] = []
        async for event in self.each(wanted, min(PAGE, limit + 1)):
            if len(found) == limit:
                return found, True
            found.append(event)
        return found, False

    async def verify(self, first: int | None, last: int | None) -> dict[str, Any]:
        """Have the server recompute the chain of hashes, from position ``first`` to ``last``."""
        bounds = {"from": first, "to": last}
        params = {name: str(position) for name, position in bounds.items() if position is not None}
        return self._client.checked(await self._client.get(f"{EVENTS}/verify", params))

    async def append(self, event: Mapping[str, Any], key: str | None) -> dict[str, Any]:
        """Record an event, once however often the network makes us ask."""
        return await self._client.change("POST", EVENTS, event, key=key or str(uuid.uuid4()))

    async def recorded(self, event: Mapping[str, Any], key: str | None) -> dict[str, Any] | None:
        """Return the event as it was recorded before, under ``key`` or as the version that it expects to become.

        Raises ClientError (api_error) where its ``expected_version`` rules it out, as the server would.
        """
        expected = event.get("expected_version")
        if key is None and expected is None:
            return None
        version = 0
        async for found in self.each({name: str(event[name]) for name in ("aggregate_id", "aggregate_type")}):
            version = int(found.get("version") or 0)
            if key is not None and (found.get("metadata") or {}).get("correlation_id") == key:
                return found
            same = found.get("type") == event["type"] and found.get("data") == event["data"]
            if key is None and expected is not None and version == expected + 1 and same:
                return found
        if expected is not None and version != expected:
            raise ClientError(
                FailureKind.API_ERROR,
                what=f"Recording {event['type']} at {self._client.url}",
                reason=f"{event['aggregate_type']} {event['aggregate_id']} is at version {version}, not at {expected}",
                next_step="Look at what was recorded since, then expect the present version.",
                http_status=409,
            )
        return None
