"""Keys that make something happen once."""

from __future__ import annotations

import re

from .errors import InputError

# What the server takes as a correlation id.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def check_key(key: str | None) -> None:
    """Raise InputError for what the server would not take as a key."""
    if key is not None and KEY.fullmatch(key) is None:
        raise InputError(f"key is {key!r}: allowed are 1 to 128 letters, digits and . _ : -, a letter or digit first")
