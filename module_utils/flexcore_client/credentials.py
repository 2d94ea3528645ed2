"""As whom the client comes: with a token, or with a user's name and password that are exchanged for one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .errors import InputError

LOGIN_PATH = "/auth/login"
# A token is renewed when this part of its life is over, so that none expires on its way.
RENEW_AFTER = 0.8


@dataclass(frozen=True)
class Login:
    """A user's name and password."""

    username: str
    password: str = field(repr=False)


def read_token(path: Path) -> str:
    """Read the one token in a file; raises InputError that names the file and never what is in it."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"the token_file {path} cannot be read: {reason}") from None
    if not is_token(token):
        raise InputError(f"the token_file {path} does not hold one token")
    return token


def is_token(text: str) -> bool:
    """Whether ``text`` can travel in a header: something printable without blanks."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
