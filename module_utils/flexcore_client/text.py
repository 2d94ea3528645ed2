"""Text that others wrote, made safe to print: one line, bounded, without control characters or known secrets."""

from __future__ import annotations

from collections.abc import Sequence

HIDDEN = "***"
EXCERPT_CHARACTERS = 200


def printable(text: str, secrets: Sequence[str] = (), limit: int = EXCERPT_CHARACTERS) -> str:
    """Return ``text`` on one line, at most ``limit`` characters long, with every one of ``secrets`` hidden.

    Control characters go because a server could otherwise write escape sequences to an operator's terminal.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
