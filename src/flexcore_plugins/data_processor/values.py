"""Values of columns as JSON has them."""

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:
    """Give a value as JSON has it.

    Times are RFC 3339, durations seconds, decimals strings, bytes base64; what is not a finite number is null.
    """
    match value:
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return encoded_bytes(value)
        case Decimal():
            return str(value)
        case _:
            return value


def encoded_bytes(value: bytes) -> str:
    """Write bytes as base64."""
    return base64.b64encode(value).decode()
