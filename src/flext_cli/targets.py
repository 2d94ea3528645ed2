"""Which services a command is about, and how to reach them as whom: from the command line, a file, the environment.

What is said explicitly wins. The variables are those that the modules take as well, see ``flexcore_client.connection``.
Whoever is said to ask by none of them is who logged in with ``flext login``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flexcore_client.clock import SystemClock
from flexcore_client.connection import ENVIRONMENT, Connection, read_connection, with_environment
from flexcore_client.credentials import read_token
from flexcore_client.errors import InputError
from flexcore_client.targets import Target, parse_targets
from flexcore_client.transport import HttpTransport

from .sessions import Sessions

DEFAULT_URL = "http://127.0.0.1:8080"
KEYS = ("targets", "timeout", "token_file", "api")


@dataclass(frozen=True)
class Selection:
    """Targets, how to reach them as whom, and the timeout in seconds that their file asks for."""

    targets: list[Target]
    connection: Connection
    timeout: float | None = None

    def flexcore(self, name: str | None = None) -> Target:
        """Return the FlexCore target called ``name``, or the first one; raises InputError when there is none."""
        found = [t for t in self.targets if t.address.service == "flexcore" and name in (None, t.name)]
        if not found:
            known = ", ".join(t.name for t in self.targets if t.address.service == "flexcore") or "none"
            raise InputError(f"There is no FlexCore target called {name or 'anything'}: known are {known}")
        return found[0]

    def transport(self, target: Target) -> HttpTransport:
        """Return the way to one of the targets."""
        return self.connection.transport(target.address, SystemClock(), token=target.token)


def select(given: Sequence[str], file: Path | None) -> Selection:
    """Read the targets; raises InputError that names the option or file at fault."""
    if given and file:
        raise InputError("Give either --target or --targets, not both")
    if file:
        return read_targets_file(file)
    return _selection(named(given))


def named(given: Sequence[str]) -> list[Target]:
    """Read targets as ``[name=]url``; none is the FlexCore of the environment, or that of this machine."""
    texts = given or (os.environ.get(ENVIRONMENT["url"]) or DEFAULT_URL,)
    return parse_targets([_named(text) for text in texts])


def read_targets_file(file: Path) -> Selection:
    """Read ``{targets: [{name, url}], timeout, token_file, api}`` from a YAML file."""
    document = _yaml(file)
    if not isinstance(document, Mapping):
        raise InputError(f"{file}: has to be a mapping with the keys {', '.join(KEYS)}")
    if unknown := sorted(str(key) for key in set(document) - set(KEYS)):
        raise InputError(f"{file}: the key {unknown[0]!r} is not known, allowed are {', '.join(KEYS)}")
    entries, timeout = document.get("targets"), document.get("timeout")
    if not isinstance(entries, list):
        raise InputError(f"{file}: targets has to be a list of name and url")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0):
        raise InputError(f"{file}: timeout is {timeout!r}, it has to be a number of seconds above 0")
    token_file = document.get("token_file")
    token = token_of(token_file, file) if token_file is not None else None
    try:
        targets = parse_targets(entries, token, str(document.get("api", "auto")))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return _selection(targets, token, timeout)


def token_of(token_file: Any, named_in: Path) -> str:
    """Read a token; a relative path is a systemd credential, or a file beside the targets file."""
    if not isinstance(token_file, str) or not token_file:
        raise InputError(f"{named_in}: token_file has to be the path of a file")
    base = os.environ.get("CREDENTIALS_DIRECTORY") or named_in.parent
    try:
        return read_token(Path(base) / token_file)
    except InputError as error:
        raise InputError(f"{named_in}: {error}") from None


def _selection(targets: list[Target], token: str | None = None, timeout: float | None = None) -> Selection:
    """Say how to reach the targets: by the environment, and where that says nothing of who asks, as who logged in."""
    connection = read_connection(with_environment({"token": token}, os.environ))
    if connection.token is None and connection.login is None:
        sessions = Sessions()
        targets = [replace(target, token=sessions.token(target.address)) for target in targets]
    return Selection(targets, connection, timeout)


def _named(text: str) -> dict[str, str]:
    name, separator, url = text.partition("=")
    # "=" may also stand in the address, so what is before it is a name only if it has no scheme.
    return {"name": name, "url": url} if separator and "://" not in name else {"url": text}


def _yaml(file: Path) -> Any:
    import yaml

    try:
        with file.open("rb") as stream:
            return yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506, both are safe
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{file}: is not YAML: {' '.join(str(error).split())}") from None
