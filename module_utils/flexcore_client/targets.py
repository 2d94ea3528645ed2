"""What a health check is asked to look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .address import Address, parse_address
from .dialects import AUTO, forced_dialect
from .errors import InputError


@dataclass(frozen=True)
class Target:
    """A service with the name its row carries; the token is only for FlexCore targets."""

    name: str
    address: Address
    token: str | None = field(default=None, repr=False)
    api: str = AUTO


def parse_targets(entries: Iterable[Mapping[str, Any]], token: str | None = None, api: str = AUTO) -> list[Target]:
    """Read ``{name, url}`` entries; raises InputError that names the entry and what is allowed."""
    forced_dialect(api)
    targets: list[Target] = []
    for number, entry in enumerate(entries, start=1):
        label = f"target {number}"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("url"), str):
            raise InputError(f"{label} needs a url such as http://host:8080, and may have a name")
        if unknown := sorted(set(entry) - {"name", "url"}):
            raise InputError(f"{label} has the unknown key {unknown[0]!r}: allowed are name and url")
        try:
            address = parse_address(entry["url"])
        except InputError as error:
            raise InputError(f"{label}: {error}") from None
        name = entry.get("name") or address.service
        targets.append(Target(str(name), address, token if address.service == "flexcore" else None, api))
    if not targets:
        raise InputError("there is nothing to check: give at least one target")
    return targets
