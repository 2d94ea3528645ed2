"""How to reach FlexCore servers and as whom: the options that everything shares, and where they come from.

What is given explicitly wins; the environment is read when a call is made, and only for what was not given. So a
variable that a shell happens to have set never contradicts an option of a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .address import Address, in_ascii
from .breaker import CircuitBreaker
from .clock import Clock, Deadline
from .credentials import Login, is_token, read_token
from .dialects import AUTO, forced_dialect
from .errors import InputError
from .exchange import Timeouts
from .retry import RetryPolicy
from .tls import TlsOptions
from .transport import HttpTransport

ENVIRONMENT = {
    "url": "FLEXCORE_URL",
    "token": "FLEXCORE_TOKEN",
    "token_file": "FLEXCORE_TOKEN_FILE",
    "username": "FLEXCORE_USERNAME",
    "password": "FLEXCORE_PASSWORD",
    "ca_path": "FLEXCORE_CA_PATH",
    "client_cert": "FLEXCORE_CLIENT_CERT",
    "client_key": "FLEXCORE_CLIENT_KEY",
    "proxy": "FLEXCORE_PROXY",
}
SECRETS = ("token", "password", "proxy")
# Each group is one fact: a part of it that is given keeps the environment out of all of it.
GROUPS = (("url",), ("token", "token_file", "username", "password"), ("ca_path",), ("client_cert", "client_key"))


def with_environment(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return ``options`` with what they leave open taken from the environment."""
    found = dict(options)
    for group in (*GROUPS, ("proxy",)):
        if all(options.get(name) is None for name in group):
            found.update({name: environ.get(ENVIRONMENT[name]) or None for name in group})
    return found


@dataclass(frozen=True)
class Connection:
    """How to come to a server: as whom, within what time, over which way, trusting whom."""

    token: str | None = field(default=None, repr=False)
    login: Login | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: TlsOptions = field(default_factory=TlsOptions)
    proxy: str | None = field(default=None, repr=False)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    api: str = AUTO

    def transport(
        self,
        address: Address,
        clock: Clock,
        *,
        token: str | None = None,
        deadline: Deadline | None = None,
        retry: RetryPolicy | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> HttpTransport:
        """Return a transport to ``address``; what is given here replaces the connection's own."""
        return HttpTransport(
            address,
            token=token or self.token,
            login=self.login,
            timeouts=self.timeouts,
            tls=self.tls,
            proxy=self.proxy,
            retry=retry or self.retry,
            breaker=breaker,
            deadline=deadline,
            clock=clock,
        )


def read_connection(options: Mapping[str, Any]) -> Connection:
    """Build a connection from options, environment included; raises InputError that names the option at fault.

    An option that is absent or None has its default.
    """
    given = {name: value for name, value in options.items() if value is not None}
    forced_dialect(str(given.get("api", AUTO)))
    token, login = _credentials(given)
    total = _seconds(given, "timeout", Timeouts.total)
    connect, read = _seconds(given, "connect_timeout", Timeouts.connect), _seconds(given, "read_timeout", total)
    retries = given.get("retries", RetryPolicy.retries)
    if retries < 0:
        raise InputError(f"retries is {retries}: allowed are 0 and more")
    return Connection(
        token=token,
        login=login,
        timeouts=Timeouts(connect=min(connect, total), read=min(read, total), total=total),
        tls=TlsOptions(
            ca_path=given.get("ca_path"),
            validate=given.get("validate_certs", True),
            client_cert=given.get("client_cert"),
            client_key=given.get("client_key"),
        ),
        proxy=_proxy(given),
        retry=RetryPolicy(retries=retries),
        api=given.get("api", AUTO),
    )


def _credentials(given: Mapping[str, Any]) -> tuple[str | None, Login | None]:
    ways = [name for name in ("token", "token_file", "username") if given.get(name)]
    if len(ways) > 1:
        raise InputError(f"{' and '.join(ways)} are given: allowed is one of token, token_file, and username")
    if bool(given.get("username")) != bool(given.get("password")):
        raise InputError("username and password belong together: give both or none")
    if given.get("token_file"):
        return read_token(Path(given["token_file"])), None
    if given.get("username"):
        return None, Login(given["username"], given["password"])
    token = given.get("token") or None
    if token is not None and not is_token(token):
        raise InputError("token holds blanks or characters that no token has: give the token alone")
    return token, None


def _seconds(given: Mapping[str, Any], name: str, default: float) -> float:
    seconds = float(given.get(name, default))
    if not 0 < seconds < float("inf"):
        raise InputError(f"{name} is {seconds:g}: allowed are seconds above 0")
    return seconds


def _proxy(given: Mapping[str, Any]) -> str | None:
    proxy = given.get("proxy")
    if not proxy:
        return None
    try:
        parts = urlsplit(proxy)
        host = in_ascii(parts.hostname or "")
        known = parts.scheme in ("http", "https") and bool(host) and (parts.port or 1) > 0 and proxy.isascii()
    except ValueError:
        known = False
    if not known:
        raise InputError("proxy is no address of a proxy: allowed are http://host:port and https://host:port")
    return str(proxy)
