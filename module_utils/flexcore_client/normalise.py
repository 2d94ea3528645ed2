"""From what the dialects say to one vocabulary. Every function takes anything that JSON can hold and never raises."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .clock import rfc3339
from .models import HealthStatus, LogRecord, PluginInfo
from .text import printable

STATUS_WORDS = {
    HealthStatus.HEALTHY: ("healthy", "ok", "up", "pass"),
    HealthStatus.DEGRADED: ("degraded", "warn"),
    HealthStatus.UNHEALTHY: ("unhealthy", "down", "fail", "error"),
}
STATUS_OF_WORD = {word: status for status, words in STATUS_WORDS.items() for word in words}
LEVELS = ("debug", "info", "warning", "error", "critical")
LEVEL_OF_WORD = {**{level: level for level in LEVELS}, "trace": "debug", "notice": "info", "warn": "warning"}
LEVEL_OF_WORD |= {"err": "error", "fatal": "critical", "panic": "critical", "alert": "critical", "emerg": "critical"}
GO_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def health_status(word: Any) -> HealthStatus:
    """Map a server's status word; anything that is not a known word is UNKNOWN."""
    return STATUS_OF_WORD.get(word.lower(), HealthStatus.UNKNOWN) if isinstance(word, str) else HealthStatus.UNKNOWN


def optional_text(value: Any) -> str | None:
    """Return a non-empty string on one line, or None."""
    return printable(value) if isinstance(value, str) and value else None


def uptime_seconds(value: Any) -> int | None:
    """Return seconds from a number or a duration such as "5m30s"; a timestamp is not an uptime and gives None."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # A Unix time in an uptime field (some builds do that) would be an uptime of over thirty years.
        return int(value) if 0 <= value < 1_000_000_000 else None
    if not isinstance(value, str) or not value:
        return None
    match = GO_DURATION.fullmatch(value)
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(float(seconds or 0))


def items_of(document: Any, name: str) -> list[Any] | None:
    """Return the list in a bare array, ``{name: [...]}`` or ``{name: null}``; None when there is no such list."""
    found = document.get(name, ()) if isinstance(document, dict) else document
    if found is None and isinstance(document, dict):
        return []
    return found if isinstance(found, list) else None


def error_text(document: Any) -> str | None:
    """Return the server's own words: ``detail``, else ``error`` with ``details``, else ``message``."""
    if not isinstance(document, dict):
        return None
    if detail := optional_text(document.get("detail")):
        return detail
    if error := optional_text(document.get("error")):
        details = optional_text(document.get("details"))
        return f"{error}: {details}" if details else error
    return optional_text(document.get("message"))


def components(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the components of a health answer as ``{name: {status, message, version, response_time_ms}}``."""
    raw = document.get("components")
    found: dict[str, dict[str, Any]] = {}
    for name, entry in raw.items() if isinstance(raw, dict) else ():
        fields = entry if isinstance(entry, dict) else {"status": entry}
        elapsed = fields.get("response_time_ms")
        found[printable(str(name), limit=64)] = {
            "status": health_status(fields.get("status")).value,
            "message": optional_text(fields.get("message")),
            "version": optional_text(fields.get("version")),
            "response_time_ms": elapsed if isinstance(elapsed, (int, float)) else None,
        }
    return found


def plugin(document: Any) -> PluginInfo | None:
    """Read one plugin; its id is ``id``, else ``plugin_id``, else ``name``; None for something that is no plugin."""
    if not isinstance(document, dict):
        return None
    name = optional_text(document.get("name"))
    plugin_id = optional_text(document.get("id")) or optional_text(document.get("plugin_id")) or name
    if plugin_id is None:
        return None
    known = {"id", "plugin_id", "name", "version", "type", "status", "description", "entry_point"}
    return PluginInfo(
        id=plugin_id,
        name=name or plugin_id,
        version=optional_text(document.get("version")),
        type=optional_text(document.get("type")),
        status=optional_text(document.get("status")),
        description=optional_text(document.get("description")),
        dependencies=_strings(document.get("dependencies")),
        capabilities=_strings(document.get("capabilities")),
        entry_point=optional_text(document.get("entry_point")),
        details={k: v for k, v in document.items() if k not in known | {"dependencies", "capabilities"}},
    )


def log_record(document: Any) -> LogRecord:
    """Read one log record from an object, or from a line that is only text."""
    if not isinstance(document, dict):
        return LogRecord(timestamp=None, level=None, message=str(document).rstrip("\n"))
    fields = dict(document)
    nested = fields.pop("fields", None)
    fields |= nested if isinstance(nested, dict) else {}

    def take(*names: str) -> Any:
        found = [fields.pop(name) for name in names if name in fields]
        return next((value for value in found if value not in (None, "")), None)

    return LogRecord(
        timestamp=timestamp(take("timestamp", "time", "ts")),
        level=log_level(take("level", "severity")),
        message=str(take("message", "msg", "event") or ""),
        component=optional_text(take("component", "logger")),
        correlation_id=optional_text(take("correlation_id")),
        node_id=optional_text(take("node_id")),
        fields=fields,
    )


def json_record(line: str) -> LogRecord | None:
    """Read one log record from a line that is a JSON object, None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        return log_record(json.loads(line))
    except (ValueError, RecursionError):
        return None


def log_level(word: Any) -> str | None:
    """Return one of debug, info, warning, error and critical, or None."""
    return LEVEL_OF_WORD.get(word.lower()) if isinstance(word, str) else None


def timestamp(value: Any) -> str | None:
    """Return RFC 3339 UTC from a Unix time in seconds or an ISO 8601 text; None when it is neither."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return rfc3339(datetime.fromtimestamp(value, timezone.utc))
        if isinstance(value, str):
            return rfc3339(parse_rfc3339(value))
    except (ValueError, OverflowError, OSError):
        return None
    return None


def parse_rfc3339(value: str) -> datetime:
    """Parse RFC 3339, also with nanoseconds and without a zone (taken as UTC); raises ValueError."""
    # Python before 3.11 knows neither "Z" nor fractions of other than three or six digits.
    text = re.sub(r"(\.\d{1,6})\d*", lambda match: match.group(1).ljust(7, "0"), value.strip())
    moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value)
    return [printable(str(entry)) for entry in value] if isinstance(value, list) else []
