"""Which addresses a plugin may be connected to. Reads no network: names are somebody else's to look up."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds hand out the credentials of their machines, beside the link-local addresses.
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Rule:
    """`host:port`, where the host may be `*`, `*.domain`, a name or an address (IPv6 in brackets), and the port `*`."""

    host: str
    port: int | None

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a rule; raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or (":" in host and not (host.startswith("[") and host.endswith("]"))):
            raise ValueError(f"'{text}' is not host:port")
        if port != "*" and not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise ValueError(f"'{text}' has no port from 1 to 65535, nor *")
        return cls(normal(host), None if port == "*" else int(port))

    def allows(self, host: str, port: int) -> bool:
        """Say whether it is about this `host`, as `normal` gives it, and port."""
        if self.port not in (None, port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and _address(host) is None
        return self.host in ("*", host)

    def names(self, host: str) -> bool:
        """Say whether it is about this `host` and no other."""
        return self.host == host


def normal(host: str) -> str:
    """Give a host the one form in which hosts are compared: lower case, no brackets, no dot at the end."""
    text = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
    found = _address(text)
    return text if found is None else str(found)


def allowed(rules: Iterable[Rule], host: str, port: int) -> list[Rule]:
    """Give those of `rules` that allow `host`, as `normal` gives it, and port."""
    return [rule for rule in rules if rule.allows(host, port)]


def special(address: Address) -> str | None:
    """Say what is special about an address that nobody gets to but by its own name; None for an ordinary one."""
    if isinstance(address, ipaddress.IPv6Address):
        # Gateways translate these to the IPv4 address that is part of them.
        inner = address.sixtofour or (_translated(address) if address in _NAT64 else None)
        if inner is not None and (found := special(inner)) is not None:
            return found
    if address in _METADATA:
        return "the address of a cloud's metadata service"
    for is_so, what in (
        (address.is_link_local, "a link-local address"),
        (address.is_loopback, "an address of this host itself"),
        (address.is_unspecified, "no address of a host"),
        (address.is_multicast, "a multicast address"),
    ):
        if is_so:
            return what
    return None


def plain(address: Address) -> Address:
    """Give an IPv4 address that is written as an IPv6 one as what it is."""
    return getattr(address, "ipv4_mapped", None) or address


def _address(text: str) -> Address | None:
    try:
        return plain(ipaddress.ip_address(text))
    except ValueError:
        return None


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
