"""Opens the connections that plugins may have, because they themselves can open none."""

import asyncio
import os
import socket
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from flexcore.domain.manifest import PluginManifest
from flexcore.infrastructure.sandbox.lookups import Lookups
from flexcore.infrastructure.sandbox.network_rules import Address, Rule, allowed, normal, special

CONNECT_SECONDS: Final = 10.0
MOST_CONNECTIONS: Final = 64
"""Connections that one execution may ask for."""
_MOST_ADDRESSES: Final = 4
_LONGEST_NAME: Final = 253
_HERE: Final = "localhost"

Endpoint = tuple[str, int]


class RefusedError(Exception):
    """A plugin does not get what it asks for; the text is for it. `forbidden` if it may not, not only can't."""

    def __init__(self, error: str, *, forbidden: bool) -> None:
        super().__init__(error)
        self.forbidden = forbidden


class NetworkBroker:
    """Connects to what a manifest names, or what is `granted` by the operator to the plugin of this id.

    A name is looked up once, here, and what was found is what is checked and connected to. Only the operator can
    permit `protected` addresses, the services that FlexCore itself uses, and its own port. Addresses of this host, of
    the local link and of metadata services must be named as such.
    """

    def __init__(
        self,
        *,
        granted: Mapping[str, Iterable[str]] = MappingProxyType({}),
        protected: Iterable[Endpoint] = (),
        own_port: int | None = None,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._granted = {plugin_id: tuple(map(Rule.of, rules)) for plugin_id, rules in granted.items()}
        self._protected = tuple(protected)
        self._own_port = own_port
        self._connect_seconds = connect_seconds
        self._lookups = Lookups()

    async def connect(self, manifest: PluginManifest, host: str, port: int) -> socket.socket:
        """Open a TCP connection for a plugin, set to block; raises RefusedError."""
        where, name = f"{host[:_LONGEST_NAME]}:{port}", normal(host)
        if not name or len(name) > _LONGEST_NAME or not name.isprintable() or not 0 < port < 1 << 16:
            raise RefusedError(f"{where!r} is no address", forbidden=True)
        granted = allowed(self._granted.get(manifest.id, ()), name, port)
        permitted = allowed(map(Rule.of, manifest.permissions.network), name, port)
        if not granted and not permitted:
            raise RefusedError(f"plugin '{manifest.id}' has no permission to connect to {where}", forbidden=True)
        try:
            async with asyncio.timeout(self._connect_seconds):
                addresses = await self._lookups.addresses(name)
                if not any(rule.names(name) for rule in granted):
                    for address in addresses:
                        await self._check(address, name, port, where, permitted, granted=bool(granted))
                return await _first(addresses, port)
        except TimeoutError:
            problem = f"it did not answer within {self._connect_seconds:g} s"
        except OSError as error:
            problem = _cause(error)
        raise RefusedError(f"there is no connection to {where}: {problem}", forbidden=False)

    async def _check(
        self, address: Address, name: str, port: int, where: str, permitted: Iterable[Rule], *, granted: bool
    ) -> None:
        what = special(address)
        if what is not None and not (name in (_HERE, str(address)) and any(rule.names(name) for rule in permitted)):
            raise RefusedError(f"{where} is {what}, which takes a permission that names it", forbidden=True)
        if not granted and await self._is_protected(address, port):
            raise RefusedError(
                f"{where} is a service of FlexCore itself, which takes the operator's permission", forbidden=True
            )

    async def _is_protected(self, address: Address, port: int) -> bool:
        here = _is_of_this_host(address)
        if here and port == self._own_port:
            return True
        for host, its_port in self._protected:
            if its_port == port:
                for its_address in await self._lookups.addresses(normal(host)):
                    if its_address == address or (here and _is_of_this_host(its_address)):
                        return True
        return False


async def _first(addresses: list[Address], port: int) -> socket.socket:
    """Connect to the first of `addresses` that answers; raises OSError."""
    problem: OSError = OSError("it has no address")
    for address in addresses[:_MOST_ADDRESSES]:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
        except OSError as error:
            connection.close()
            problem = error
        except BaseException:
            connection.close()
            raise
        else:
            # The child has the same open file, and expects what a new socket is like.
            connection.setblocking(True)
            return connection
    raise problem


def _cause(error: OSError) -> str:
    # The words of the event loop would repeat the address, and those of the resolver have no number of the system's.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def _is_of_this_host(address: Address) -> bool:
    """Say whether an address is one of this host's: only such a one can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((str(address), 0))
        except OSError:
            return False
        return True
