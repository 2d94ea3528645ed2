"""Ordinary network clients in a process that can make no socket, over a double of the broker, to real servers."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import http_double
from tests.doubles.certificates import Authority
from tests.doubles.http_double import HttpDouble, Reply
from tests.servers import PostgresServer

PLUGINS = Path(__file__).with_name("plugins")
ROUTES: Any = {"/text": Reply("hello")}

# What the child runs: it can make no socket from its first line on, as under the sandbox's own filter.
CHILD = """
import ctypes, os, struct, sys
sys.path[:0] = sys.argv[2:]
LOAD, JUMP_IF_EQUAL, RETURN, ALLOW, REFUSE = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050001
calls = {"x86_64": (41, 42, 49, 50), "aarch64": (198, 203, 200, 201)}[os.uname().machine]  # socket connect bind listen
program = [(LOAD, 0, 0, 0)]
program += [(JUMP_IF_EQUAL, len(calls) - index, 0, call) for index, call in enumerate(calls)]
program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_void_p)]
assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0
assert ctypes.CDLL(None).prctl(22, 2, ctypes.byref(Filter(len(program), ctypes.addressof(text)))) == 0
import flexcore_plugin.child
from flexcore_plugin import network
from network_client import NetworkClient
network.install()
flexcore_plugin.child.run(int(sys.argv[1]), NetworkClient)
"""


class Broker:
    """Answers one execution: connects it to what it may reach, by names that only it knows."""

    def __init__(self, channel: socket.socket, names: Mapping[str, str]) -> None:
        self._channel = channel
        self._names = names
        self.asked: list[tuple[str, int]] = []

    def converse(self, request: Mapping[str, Any]) -> Any:
        """Send the request, serve the child, and return its answer."""
        self._say(
            {"type": "run", "execution_id": "e", "configuration": {}, "secrets": {}, "correlation_id": "c"} | request
        )
        with self._channel.makefile("r", encoding="utf-8") as lines, suppress(ConnectionError):
            for line in lines:
                message = json.loads(line)
                if message["type"] == "connect":
                    self._connect(message["host"], message["port"])
                elif message["type"] in ("result", "crashed"):
                    return message
        return {"type": "it ended without an answer"}

    def _connect(self, host: str, port: int) -> None:
        self.asked.append((host, port))
        if host not in self._names:
            self._say({"type": "refused", "error": f"the manifest does not permit {host}:{port}"})
            return
        with socket.create_connection((self._names[host], port), timeout=5) as connection:
            connection.setblocking(True)
            socket.send_fds(self._channel, [b'{"type":"connected"}\n'], [connection.fileno()])

    def _say(self, message: Mapping[str, Any]) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\n")


def run(operation: str, *, names: Mapping[str, str], **data: Any) -> Any:
    """Run one operation of the plugin; gives what it returns."""
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    source = Path(__file__).parents[3] / "src"
    path = [str(source), str(PLUGINS), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", CHILD, str(theirs.fileno()), *path],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            text=True,
        )
        theirs.close()
        try:
            answer = Broker(ours, names).converse({"operation": operation, "data": data})
        finally:
            ours.close()
            output, _ = process.communicate(timeout=30)
    assert answer["type"] == "result", f"{answer}\n{output}"
    return answer["data"]


NAMES = {"service.test": "127.0.0.1", "127.0.0.1": "127.0.0.1"}


@pytest.fixture
def server() -> Iterator[HttpDouble]:
    with http_double.serving(ROUTES) as double:
        yield double


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[HttpDouble]:
    with http_double.serving(ROUTES, tls=authority.server()) as double:
        yield double


def port_of(double: HttpDouble) -> int:
    return int(double.url.rpartition(":")[2])


@pytest.mark.parametrize("host", NAMES)
def test_http_client(server: HttpDouble, host: str) -> None:
    assert run("http_client", names=NAMES, host=host, port=port_of(server)) == "hello"


@pytest.mark.parametrize("operation", ["urllib", "httpx"])
def test_libraries_for_http(server: HttpDouble, operation: str) -> None:
    assert run(operation, names=NAMES, url=f"http://service.test:{port_of(server)}/text") == "hello"


@pytest.mark.parametrize("operation", ["urllib", "httpx"])
def test_libraries_for_https(tls_server: HttpDouble, authority: Authority, operation: str) -> None:
    url = f"https://127.0.0.1:{port_of(tls_server)}/text"
    assert run(operation, names=NAMES, url=url, authority=authority.path.read_text()) == "hello"


def test_tls_around_a_socket_that_connects_later(tls_server: HttpDouble, authority: Authority) -> None:
    answer = run(
        "tls_around_a_socket_not_yet_connected",
        names=NAMES,
        host="127.0.0.1",
        port=port_of(tls_server),
        authority=authority.path.read_text(),
    )
    assert answer == "hello"


def test_asyncio_resolves_no_names_and_starts_no_thread(server: HttpDouble) -> None:
    assert run("httpx_async", names=NAMES, url=f"http://service.test:{port_of(server)}/text") == ["hello"] * 5


@pytest.mark.parametrize("host", NAMES)
def test_asyncpg(postgres_server: PostgresServer, host: str) -> None:
    login = postgres_server.login("flexcore")
    rows = run(
        "asyncpg",
        names=NAMES,
        host=host,
        port=login.port,
        user=login.user,
        password=login.password,
        database="postgres",
    )
    assert rows == [1, 2, 3]


def test_what_a_program_sees_of_its_socket(server: HttpDouble) -> None:
    port = port_of(server)
    assert run("socket_states", names=NAMES, host="service.test", port=port) == {
        "before": ["OSError: [Errno 107] Transport endpoint is not connected", "AF_INET", "SOCK_STREAM"],
        "same_descriptor": True,
        "peer": ["127.0.0.1", port],
        "no_delay": 1,
        "timeout": 5.0,
        "again": "OSError: [Errno 106] Transport endpoint is already connected",
        "read": "TimeoutError: timed out",
    }


def test_a_connection_in_the_way_of_an_event_loop(server: HttpDouble) -> None:
    answer = run("without_blocking", names=NAMES, host="service.test", port=port_of(server))
    assert answer == {
        "result": 0,
        "ready": 1,
        "state": 0,
        "empty": "BlockingIOError: [Errno 11] Resource temporarily unavailable",
    }


def test_a_timeout_holds_for_what_comes_after_connecting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = run("timeout", names=NAMES, host="service.test", port=silent.getsockname()[1])
    assert answer == "TimeoutError: timed out"


def test_what_is_refused_fails_as_libraries_expect() -> None:
    why = "the manifest does not permit evil.test:80"
    only = "a plugin has TCP connections to the addresses of its manifest, and no other kind of socket"
    assert run("refused", names=NAMES, host="evil.test", port=80) == {
        "create_connection": f"PermissionRefused: {why}",
        "connect_ex": True,
        "asyncio": f"PermissionRefused: {why}",
        "httpx": f"ConnectError: {why}",
        "datagrams": f"PermissionError: [Errno 1] {only}",
        "unix": f"PermissionError: [Errno 1] {only}",
        "bind": f"PermissionError: [Errno 1] {only}: it cannot choose its own address",
        "listen": f"PermissionError: [Errno 1] {only}: it cannot listen",
        "past_the_shim": "PermissionError: [Errno 1] Operation not permitted",
    }


def test_a_pair_of_sockets_is_left_alone() -> None:
    assert run("a_pair_of_its_own", names={}) == "hello AF_UNIX"
