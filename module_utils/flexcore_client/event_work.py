"""Record an event once, read events, and verify their chain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .change import Change
from .client import FlexCoreClient
from .clock import rfc3339
from .event_calls import EventCalls
from .keys import check_key
from .log_query import parse_moment

MOST_EVENTS = 10_000
SHOWN = ("id", "position", "version")


async def record(client: FlexCoreClient, event: Mapping[str, Any], key: str | None, *, dry: bool) -> dict[str, Any]:
    """Record ``event``, not when ``dry`` or recorded before; raises ClientError and InputError."""
    check_key(key)
    await client.require("its event log")
    calls = EventCalls(client)
    before = await calls.recorded(event, key)
    about = {name: event[name] for name in ("type", "aggregate_type", "aggregate_id", "data")}
    change = Change(about if before else {}, about)
    if before is None and dry:
        return change.result(event={})
    found = before if before is not None else await calls.append(event, key)
    return change.result(event={name: found.get(name) for name in SHOWN})


def wanted_events(filters: Mapping[str, str | None], now: datetime) -> dict[str, str]:
    """Return the parameters of the route; raises InputError for a time that is none."""
    wanted = {name: value for name, value in filters.items() if value is not None}
    for option, parameter in (("since", "from_timestamp"), ("until", "to_timestamp")):
        if option in wanted:
            wanted[parameter] = rfc3339(parse_moment(option, wanted.pop(option), now))
    return wanted


async def read_events(
    client: FlexCoreClient, wanted: Mapping[str, str], limit: int, verify: tuple[int | None, int | None] | None
) -> dict[str, Any]:
    """Return the events that are wanted, and what a verification between two positions found; raises ClientError."""
    await client.require("its event log")
    calls = EventCalls(client)
    events, more = await calls.some(wanted, limit) if limit else ([], False)
    found: dict[str, Any] = {"events": events, "truncated": more}
    if verify is not None:
        found["verification"] = await calls.verify(*verify)
    return found
