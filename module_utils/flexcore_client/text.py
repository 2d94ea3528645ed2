"""Text that others wrote, made safe to print: one line, bounded, without control characters."""

from __future__ import annotations

HIDDEN = "***"
EXCERPT_CHARACTERS = 200


def printable(text: str, limit: int = EXCERPT_CHARACTERS) -> str:
    """Return ``text`` on one line, at most ``limit`` characters long.

    Control characters go because a server could otherwise write escape sequences to an operator's terminal.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
