"""Reading facts out of an event's data: what is not of the expected kind is as good as absent.

Old releases, other writers and plugins had a hand in what events hold; a read model must not stop over any of it.
"""

import math
from typing import Any


def text(value: Any) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> float | None:
    """Return a finite number that is not negative, such as a duration."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) and converted >= 0 else None


def whole_number(value: Any) -> int | None:
    """Return a whole number from 0 up, as large as a column holds."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def count(value: Any) -> int | None:
    """Return a whole number from 0 up, as large as a wide column holds, such as a number of bytes."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None
