"""Ordinary Python clients over FlexCore's network broker: http.client, urllib, httpx, asyncio, asyncpg and their like.

A plugin cannot make a network socket: the kernel refuses socket(2), and names cannot be looked up. It can ask FlexCore
for a connection to an address that its manifest permits (`flexcore_plugin.connect`). In every execution Python's own
`socket.socket` does that by itself:

- a new socket is one end of a socket pair, so that it has a descriptor and all that clients set on it can be set;
- `connect((host, port))` asks for the connection and puts it in the place of that end, under the same descriptor;
- `getaddrinfo` leaves names as they are, for FlexCore looks them up, and asyncio calls it without a thread.

Only TCP connections that the plugin opens exist here; datagrams, listening and Unix sockets are refused. Libraries that
make their sockets in C, such as libpq, libcurl and uvloop, are not reached by this.
"""

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import flexcore_plugin

_SERVICES = {"http": 80, "https": 443, "postgresql": 5432, "redis": 6379, "smtp": 25, "ldap": 389, "ldaps": 636}
_ONLY_TCP = "a plugin has TCP connections to the addresses of its manifest, and no other kind of socket"

_make = socket.socket.__init__
_connect = socket.socket.connect
_bind = socket.socket.bind
_listen = socket.socket.listen
_set_option = socket.socket.setsockopt
_peer = socket.socket.getpeername


@dataclass
class _Unconnected:
    """A socket that is not connected yet: which file its descriptor stands for, and what was set on it."""

    file: tuple[int, int]
    options: list[tuple[Any, ...]] = field(default_factory=list)


# By descriptor and not by object, because ssl makes an object of its own for a socket that it wraps.
_unconnected: dict[int, _Unconnected] = {}


def install() -> None:
    """Have Python's sockets go over the broker, in this process and its children; done once a plugin is imported."""
    patched: dict[str, Callable[..., Any]] = {
        "__init__": _init,
        "connect": _connect_brokered,
        "connect_ex": _connect_ex,
        "setsockopt": _setsockopt,
        "getpeername": _getpeername,
        "bind": _refuse_bind,
        "listen": _refuse_listen,
    }
    # In the class itself, and not in one derived from it: ssl and others already hold the class by another name.
    for name, function in patched.items():
        setattr(socket.socket, name, function)
    socket.getaddrinfo = getaddrinfo
    # Who imports it later is served as well, only by a thread for each name.
    if (loops := sys.modules.get("asyncio.base_events")) is not None:
        loops.BaseEventLoop.getaddrinfo = _getaddrinfo_of_loop


def getaddrinfo(
    host: Any,
    port: Any,
    family: int = 0,
    type: int = 0,  # noqa: A002 - as the one that it takes the place of
    proto: int = 0,
    flags: int = 0,
) -> list[tuple[Any, ...]]:
    """Answer as `socket.getaddrinfo` does, but with the name itself as the address of a name."""
    if type not in (0, socket.SOCK_STREAM) or proto not in (0, socket.IPPROTO_TCP):
        raise socket.gaierror(socket.EAI_SOCKTYPE, _ONLY_TCP)
    name = host.decode("idna") if isinstance(host, bytes) else host or "localhost"
    number = _port(port)
    version = _ip_version(name)
    if version is None and flags & socket.AI_NUMERICHOST:
        raise socket.gaierror(socket.EAI_NONAME, f"{name} is not an IP address")
    found = socket.AF_INET6 if version == 6 or (version is None and family == socket.AF_INET6) else socket.AF_INET
    if family not in (0, found):
        raise socket.gaierror(socket.EAI_FAMILY, f"{name} has no address of this family")
    address = (name, number, 0, 0) if found == socket.AF_INET6 else (name, number)
    canonical = name if flags & socket.AI_CANONNAME else ""
    return [(found, socket.SOCK_STREAM, socket.IPPROTO_TCP, canonical, address)]


async def _getaddrinfo_of_loop(
    _loop: Any,
    host: Any,
    port: Any,
    *,
    family: int = 0,
    type: int = 0,  # noqa: A002 - as the one that it takes the place of
    proto: int = 0,
    flags: int = 0,
) -> list[tuple[Any, ...]]:
    """Answer at once: asyncio would start a thread for it."""
    return getaddrinfo(host, port, family, type, proto, flags)


def _port(port: Any) -> int:
    if port is None or port == "":
        return 0
    text = port.decode() if isinstance(port, bytes) else port
    if isinstance(text, int) or text.isdecimal():
        return int(text)
    if text in _SERVICES:
        return _SERVICES[text]
    raise socket.gaierror(socket.EAI_SERVICE, f"the port of '{text}' is not known; give it as a number")


def _ip_version(name: str) -> int | None:
    try:
        return ipaddress.ip_address(name.partition("%")[0]).version
    except ValueError:
        return None


def _init(
    self: socket.socket,
    family: int = -1,
    type: int = -1,  # noqa: A002 - as the one that it takes the place of
    proto: int = -1,
    fileno: Any = None,
) -> None:
    if fileno is not None:
        _make(self, family, type, proto, fileno)
        return
    # The flags that Linux takes with the type are Python's defaults anyhow, or set by the caller once more.
    kind = socket.SOCK_STREAM if type == -1 else type & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    family = socket.AF_INET if family == -1 else family
    if family not in (socket.AF_INET, socket.AF_INET6) or kind != socket.SOCK_STREAM:
        raise PermissionError(errno.EPERM, _ONLY_TCP)
    end, other = socket._socket.socketpair()  # type: ignore[attr-defined]  # the bare one, below the class that we mend
    other.close()
    _make(self, family, kind, socket.IPPROTO_TCP, end.detach())
    # Like a TCP socket that is not connected, it is not to be written to by mistake.
    _unconnected[self.fileno()] = _Unconnected(_file(self.fileno()))


def _file(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _waiting(self: socket.socket) -> _Unconnected | None:
    """Give what is known of this socket if it waits for its connection; forget a descriptor that was used anew."""
    descriptor = self.fileno()
    found = _unconnected.get(descriptor)
    if found is not None and _file(descriptor) != found.file:
        del _unconnected[descriptor]
        return None
    return found


def _connect_brokered(self: socket.socket, address: Any) -> None:
    waiting = _waiting(self)
    if waiting is None:
        if _is_connected(self):
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        _connect(self, address)  # which says what is wrong
        return
    host, port = address[:2]
    # A socket that must not block waits all the same: the answer comes over the one channel of the execution. How
    # long that may take, FlexCore decides.
    with flexcore_plugin.connect(str(host), int(port)) as connection:
        os.dup2(connection.fileno(), self.fileno(), inheritable=False)
    del _unconnected[self.fileno()]
    self.settimeout(self.gettimeout())  # sets the connection itself to block or not, as this socket did
    for option in waiting.options:
        _set_option(self, *option)


def _is_connected(self: socket.socket) -> bool:
    try:
        _peer(self)
    except OSError:
        return False
    return True


def _connect_ex(self: socket.socket, address: Any) -> int:
    try:
        self.connect(address)
    except OSError as error:
        return error.errno or errno.EACCES
    return 0


def _setsockopt(self: socket.socket, *option: Any) -> None:
    waiting = _waiting(self)
    if waiting is None:
        _set_option(self, *option)
    else:
        waiting.options.append(option)


def _getpeername(self: socket.socket) -> Any:
    if _waiting(self) is not None:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
    return _peer(self)


def _refuse_bind(self: socket.socket, address: Any) -> None:
    if _waiting(self) is not None:
        raise PermissionError(errno.EPERM, f"{_ONLY_TCP}: it cannot choose its own address")
    _bind(self, address)


def _refuse_listen(self: socket.socket, *backlog: int) -> None:
    if _waiting(self) is not None:
        raise PermissionError(errno.EPERM, f"{_ONLY_TCP}: it cannot listen")
    _listen(self, *backlog)
