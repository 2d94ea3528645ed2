"""Have an API token, or have it gone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .change import Change
from .client import FlexCoreClient
from .clock import rfc3339
from .credentials import read_token
from .errors import ClientError, FailureKind, InputError
from .normalise import parse_rfc3339

TOKENS = "/api/v1/flexcore/tokens"
ME = "/auth/me"
STATES = ("present", "absent")
ROLES = ("viewer", "operator", "admin")
SHOWN = ("id", "name", "owner", "role", "created_at", "expires_at")


@dataclass(frozen=True)
class TokenGoal:
    """How a token is wanted; ``path`` is the file on this host that holds its text."""

    name: str
    state: str
    role: str | None = None
    expires_at: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if self.state == "present" and self.role is None:
            raise InputError(f"role is missing: say what the token {self.name} may do, one of {', '.join(ROLES)}")
        if self.expires_at is not None:
            try:
                parse_rfc3339(self.expires_at)
            except ValueError:
                allowed = "allowed are times such as 2027-01-01T00:00:00Z"
                raise InputError(f"expires_at is {self.expires_at!r}: {allowed}") from None
        if self.path is not None and not Path(self.path).parent.is_dir():
            raise InputError(f"path is {self.path}: its directory is not there")

    def plan(self, found: Mapping[str, Any] | None, now: datetime) -> TokenPlan:
        """Compare what is there with what is wanted."""
        kept = self.path is not None and holds_token(self.path)
        before = {} if found is None else self._shown(found, kept)
        if self.state == "absent":
            return TokenPlan(Change(before, {}), revokes=found is not None)
        if found is not None:
            expires = _moment(found.get("expires_at"))
            good = found.get("role") == self.role and (expires is None or expires > now)
            good = good and (self.expires_at is None or _moment(self.expires_at) == expires)
            if good and (self.path is None or kept):
                return TokenPlan(Change(before, before))
        after = self._shown({"role": self.role, "expires_at": self.expires_at}, kept=True)
        replaced = {**before, "text": "old"} if before else before
        return TokenPlan(Change(replaced, {**after, "text": "new"}), revokes=bool(before), creates=True)

    def _shown(self, token: Mapping[str, Any], kept: bool) -> dict[str, Any]:
        expires = _moment(token.get("expires_at"))
        shown = {"name": self.name, "role": token.get("role"), "expires_at": rfc3339(expires) if expires else None}
        return shown if self.path is None else {**shown, "on_host": kept}


@dataclass(frozen=True)
class TokenPlan:
    """The steps to take, in this order, and the change they make together."""

    change: Change
    revokes: bool = False
    creates: bool = False


async def bring_about(client: FlexCoreClient, goal: TokenGoal, owner: str | None, *, dry: bool) -> dict[str, Any]:
    """Do what is to be done, nothing when ``dry``, and return the result; raises ClientError and InputError."""
    await client.require("API tokens")
    owner = owner or client.text(client.checked(await client.get(ME)), "name")
    listed = [token for token in await client.pages(TOKENS, "tokens") if isinstance(token, dict)]
    found = next((one for one in listed if (one.get("owner"), one.get("name")) == (owner, goal.name)), None)
    plan = goal.plan(found, client.clock.now())
    secret: str | None = None
    if not dry:
        if plan.revokes and found is not None:
            await client.change("DELETE", f"{TOKENS}/{quote(client.text(found, 'id'), safe='')}")
        if plan.creates:
            body = {"name": goal.name, "role": goal.role, "expires_at": goal.expires_at}
            found = await client.change("POST", TOKENS, {k: v for k, v in body.items() if v is not None})
            secret = client.text(found, "token")
            if goal.path is not None:
                keep_token(goal.path, secret)
                secret = None
    shown = {} if goal.state == "absent" or found is None or (dry and plan.creates) else found
    facts = {"details": {name: shown[name] for name in SHOWN if name in shown}}
    return plan.change.result(**facts, **({"token": secret} if secret else {}))


def holds_token(path: str) -> bool:
    """Whether the file holds something that can be a token."""
    try:
        read_token(Path(path))
    except InputError:
        return False
    return True


def keep_token(path: str, secret: str) -> None:
    """Write the token so that only this user can read it, whole or not at all; raises ClientError."""
    try:
        handle, scratch = tempfile.mkstemp(dir=Path(path).parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(secret + "\n")
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink()
            raise
    except OSError as error:
        raise ClientError(
            FailureKind.UNSUPPORTED,
            what=f"Writing the token to {path}",
            reason=f"{error.strerror}, and the text of the new token is lost",
            next_step="Make the directory writable and run the task again, which makes another token.",
        ) from None


def _moment(text: Any) -> datetime | None:
    return parse_rfc3339(text) if isinstance(text, str) else None
