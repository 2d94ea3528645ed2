"""The sessions of this user, as `flext login` began them: one for each server, in a file that nobody else can read."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flexcore_client.address import Address
from flexcore_client.errors import InputError

FILE = "sessions.json"


class Sessions:
    """What is in the file; ``{url: {"token": …, "expires_at": seconds since 1970}}``. A file that is none is empty."""

    def __init__(self) -> None:
        self._path = Path(click.get_app_dir("flext")) / FILE
        self._known = self._read()

    def token(self, address: Address) -> str | None:
        """Return the token of the session with a server, None if there is none or it has expired."""
        found = self._known.get(address.url)
        if not isinstance(found, Mapping) or not isinstance(found.get("expires_at"), (int, float)):
            return None
        token = found.get("token")
        return token if isinstance(token, str) and found["expires_at"] > time.time() else None

    def keep(self, address: Address, token: str, seconds: float) -> None:
        """Keep the token of a session that lasts so many seconds; raises InputError if that is not possible."""
        self._known[address.url] = {"token": token, "expires_at": time.time() + seconds}
        self._write()

    def forget(self, address: Address) -> None:
        """Forget the session with a server; raises InputError if that is not possible."""
        if self._known.pop(address.url, None) is not None:
            self._write()

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            # A service without a home has no sessions either.
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self) -> None:
        """Replace the file as a whole by one that was never readable for others."""
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            new.touch(mode=0o600, exist_ok=False)
            new.write_text(json.dumps(self._known), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            raise InputError(f"{self._path}: the session cannot be kept: {error.strerror}") from None
