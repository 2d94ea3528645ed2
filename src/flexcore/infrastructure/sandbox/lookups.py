"""Looking up host names for plugins, without using up what the server needs for its own look-ups."""

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress
from typing import Final

from flexcore.infrastructure.sandbox.network_rules import Address, plain

MOST_AT_ONCE: Final = 8


class Lookups:
    """Looks up a few names at once; who is slow to be found holds up only others who are asked for here."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def addresses(self, name: str) -> list[Address]:
        """Return the addresses of a host; raises OSError."""
        with suppress(ValueError):
            return [plain(ipaddress.ip_address(name))]
        await self._room.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Address]] = loop.create_future()

        def finish(result: list[Address] | OSError) -> None:
            self._room.release()
            if found.cancelled():
                return
            if isinstance(result, OSError):
                found.set_exception(result)
            else:
                found.set_result(result)

        def look_up() -> None:
            result: list[Address] | OSError
            try:
                result = _addresses(name)
            except OSError as error:
                result = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(finish, result)

        # A daemon, because the end of the process does not wait for it.
        threading.Thread(target=look_up, name="look-up for a plugin", daemon=True).start()
        return await found


def _addresses(name: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("it is no host name") from error
    # A scope, such as %eth0, is not part of the address.
    addresses = [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
    return list(dict.fromkeys(map(plain, addresses)))
