"""A plugin that uses the network as ordinary programs do: by other people's libraries."""

import asyncio
import errno
import selectors
import socket
import ssl
import urllib.request
from http.client import HTTPConnection
from typing import Any

import asyncpg
import httpx


class NetworkClient:
    """Each method is an operation."""

    def __init__(self, configuration: dict[str, object]) -> None:
        del configuration

    def http_client(self, host: str, port: int) -> str:
        connection = HTTPConnection(host, port, timeout=5)
        connection.request("GET", "/text")
        return connection.getresponse().read().decode()

    def urllib(self, url: str, authority: str | None = None) -> str:
        context = ssl.create_default_context(cadata=authority) if authority else None
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:  # noqa: S310 - an address of the test
            return str(answer.read().decode())

    def httpx(self, url: str, authority: str | None = None) -> str:
        verify = ssl.create_default_context(cadata=authority) if authority else True
        with httpx.Client(verify=verify, trust_env=False) as client:
            return client.get(url).text

    def httpx_async(self, url: str) -> list[str]:
        async def ask() -> list[str]:
            async with httpx.AsyncClient(trust_env=False) as client:
                return [answer.text for answer in await asyncio.gather(*(client.get(url) for _ in range(5)))]

        return asyncio.run(ask())

    def asyncpg(self, **login: Any) -> list[Any]:
        async def ask() -> list[Any]:
            connection = await asyncpg.connect(**login, ssl="prefer", timeout=5)
            try:
                rows = await connection.fetch("SELECT generate_series(1, $1::int) AS n", 3)
                return [row["n"] for row in rows]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def tls_around_a_socket_not_yet_connected(self, host: str, port: int, authority: str) -> str:
        context = ssl.create_default_context(cadata=authority)
        with context.wrap_socket(socket.socket(socket.AF_INET), server_hostname=host) as connection:
            connection.settimeout(5)
            connection.connect((host, port))
            connection.sendall(b"GET /text HTTP/1.0\r\n\r\n")
            return connection.makefile().read().splitlines()[-1]

    def socket_states(self, host: str, port: int) -> dict[str, object]:
        """What a program sees of a socket before and after it connects."""
        with socket.socket() as connection:
            connection.settimeout(5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            descriptor = connection.fileno()
            before: list[object] = [_error(connection.getpeername), connection.family.name, connection.type.name]
            connection.connect((host, port))
            return {
                "before": before,
                "same_descriptor": connection.fileno() == descriptor,
                "peer": list(connection.getpeername()),
                "no_delay": connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                "timeout": connection.gettimeout(),
                "again": _error(lambda: connection.connect((host, port))),
                "read": _error(lambda: connection.recv(1)),
            }

    def without_blocking(self, host: str, port: int) -> dict[str, object]:
        """A connection in the way of an event loop: connect, wait until writable, ask for the error."""
        connection = socket.socket()
        connection.setblocking(False)
        result = connection.connect_ex((host, port))
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_WRITE)
            ready = len(selector.select(5))
        state = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        empty = _error(lambda: connection.recv(1))
        connection.close()
        return {"result": result, "ready": ready, "state": state, "empty": empty}

    def timeout(self, host: str, port: int) -> str:
        """Ask somebody who never answers."""
        with socket.create_connection((host, port), timeout=0.2) as connection:
            return _error(lambda: connection.recv(1))

    def refused(self, host: str, port: int) -> dict[str, object]:
        """What does not work, and as what it fails."""

        async def stream() -> None:
            await asyncio.open_connection(host, port)

        return {
            "create_connection": _error(lambda: socket.create_connection((host, port))),
            "connect_ex": socket.socket().connect_ex((host, port)) == errno.EACCES,
            "asyncio": _error(lambda: asyncio.run(stream())),
            "httpx": _error(lambda: httpx.get(f"http://{host}:{port}", trust_env=False)),
            "datagrams": _error(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            "unix": _error(lambda: socket.socket(socket.AF_UNIX)),
            "bind": _error(lambda: socket.socket().bind(("127.0.0.1", 0))),
            "listen": _error(lambda: socket.socket().listen()),
            "past_the_shim": _error(lambda: socket._socket.socket()),  # type: ignore[attr-defined]
        }

    def a_pair_of_its_own(self) -> str:
        """What a program makes for itself works as ever."""
        here, there = socket.socketpair()
        with here, there:
            here.sendall(b"hello")
            return f"{there.recv(5).decode()} {here.family.name}"


def _error(call: Any) -> str:
    try:
        return f"no error: {call()!r}"
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
