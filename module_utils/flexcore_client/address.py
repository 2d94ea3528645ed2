"""Where a service is: the addresses a check accepts, and the rule that none of them carries a password."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Union
from urllib.parse import urlsplit

from .errors import InputError

IpAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "redis": 6379}
SERVICE_OF_SCHEME = {"http": "flexcore", "https": "flexcore", "postgresql": "postgresql", "redis": "redis"}


@dataclass(frozen=True)
class Address:
    """A parsed ``scheme://host:port[/prefix]``; ``prefix`` is only for HTTP behind a reverse proxy."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @property
    def service(self) -> str:
        """Which kind of service answers there: flexcore, postgresql or redis."""
        return SERVICE_OF_SCHEME[self.scheme]

    @property
    def url(self) -> str:
        """The address as a URL, without a trailing slash."""
        return self.origin + self.prefix

    @property
    def origin(self) -> str:
        """The address as a URL without its prefix."""
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port as the header Host has them; the port only where it is not the scheme's own."""
        return self._bracketed if self.port == DEFAULT_PORTS[self.scheme] else f"{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def is_loopback(self) -> bool:
        """Whether it means another service on each machine, as the unspecified address does too."""
        if self.host == "localhost":
            return True
        number = self._number
        return number is not None and (number.is_loopback or number.is_unspecified)

    @property
    def is_this_machine(self) -> bool:
        """Whether traffic to it stays on this machine. Names are not looked up, so only localhost is one of those."""
        return self.is_loopback or (self._number is not None and _is_own(self._number))

    @property
    def is_open_to_others(self) -> bool:
        """Whether HTTP to it can be read on its way: unencrypted, and to another machine."""
        return self.scheme == "http" and not self.is_this_machine

    @property
    def _number(self) -> IpAddress | None:
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


def _is_own(number: IpAddress) -> bool:
    """Whether an interface of this machine has the address: the kernel lets a socket be bound to no other."""
    family = socket.AF_INET if number.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((str(number), 0))
    except OSError:
        return False
    return True


def parse_address(url: str) -> Address:
    """Parse an address; raises InputError that says what is allowed and never repeats a password."""
    allowed = "an address looks like http://host:8080, https://host:8443, postgresql://host:5432 or redis://host:6379"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise InputError(f"The address cannot be read ({error}): {allowed}") from None
    if "@" in url or parts.query or parts.fragment:
        # Any of these may hold a secret, so the address itself is not quoted.
        raise InputError(
            "The address holds user information (user:password@), a query or a fragment: leave it out, a token belongs "
            f"in its own option or file; {allowed}"
        )
    if parts.scheme not in DEFAULT_PORTS:
        raise InputError(f"The address {url!r} has the scheme {parts.scheme or 'none'!r}: {allowed}")
    if not parts.hostname or port == 0:
        raise InputError(f"The address {url!r} has no host or port 0: {allowed}")
    host = in_ascii(parts.hostname)
    if host is None:
        raise InputError(f"The address {url!r} has a host that is no name: {allowed}")
    prefix = parts.path.rstrip("/")
    if prefix and SERVICE_OF_SCHEME[parts.scheme] != "flexcore":
        raise InputError(f"The address {url!r} has a path: {allowed}")
    return Address(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], prefix)


def in_ascii(host: str) -> str | None:
    """Return the name as it travels (IDNA), or None for what is no name: to look it up raises more than OSError."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return None


def password_in(url: str) -> str | None:
    """Return the password that someone put into ``url``, so that a caller can hide it before it complains."""
    try:
        return urlsplit(url).password
    except ValueError:
        return None
