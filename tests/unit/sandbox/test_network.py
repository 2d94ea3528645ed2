"""Which connections a plugin gets, and which never."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import pytest

from flexcore.domain.manifest import Permissions, PluginManifest
from flexcore.infrastructure.sandbox import lookups as lookups_module
from flexcore.infrastructure.sandbox.broker import NetworkBroker, RefusedError
from flexcore.infrastructure.sandbox.lookups import Lookups
from flexcore.infrastructure.sandbox.network_rules import Rule, normal, special
from tests.unit.sandbox.conftest import code

pytestmark = pytest.mark.anyio


def manifest(*network: str) -> PluginManifest:
    return code(Permissions(network=network)).manifest


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Host names and their addresses; there are no others."""
    known: dict[str, list[str]] = {"localhost": ["127.0.0.1"]}

    def look_up(name: str, port: object, **_: object) -> list[tuple[object, ...]]:
        if name not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(None, None, None, "", (address, port)) for address in known[name]]

    monkeypatch.setattr(lookups_module.socket, "getaddrinfo", look_up)
    return known


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of this host where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "text", ["host", "host:", ":80", "host:0", "host:65536", "host:http", "a:b:80", "::1:80", "h:٣"]
)
async def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port|has no port"):
        Rule.of(text)


@pytest.mark.parametrize(
    ("rule", "host", "port", "allowed"),
    [
        ("api.example.com:443", "api.example.com", 443, True),
        ("api.example.com:443", "API.Example.COM.", 443, True),
        ("api.example.com:443", "api.example.com", 444, False),
        ("api.example.com:443", "x.api.example.com", 443, False),
        ("api.example.com:*", "api.example.com", 1, True),
        ("*.example.com:443", "api.example.com", 443, True),
        ("*.example.com:443", "a.b.example.com", 443, True),
        ("*.example.com:443", "example.com", 443, False),
        ("*.example.com:443", "evilexample.com", 443, False),
        ("*:443", "anything", 443, True),
        ("*:443", "anything", 80, False),
        ("[::1]:80", "0:0:0:0:0:0:0:1", 80, True),
        ("192.0.2.1:80", "::ffff:192.0.2.1", 80, True),
        ("*.0.2.1:80", "192.0.2.1", 80, False),
    ],
)
async def test_a_rule_is_about_exactly_what_it_says(rule: str, host: str, port: int, allowed: bool) -> None:
    assert Rule.of(rule).allows(normal(host), port) is allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "::1", "0.0.0.0", "::",  # noqa: S104 - nobody binds to it
        "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1",
        "100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "168.63.129.16",
    ],
)  # fmt: skip
async def test_some_addresses_are_special(address: str) -> None:
    assert special(ipaddress.ip_address(address)) is not None


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "93.184.216.34", "2606:2800:220:1::1", "fd12::1"])
async def test_most_are_not(address: str) -> None:
    assert special(ipaddress.ip_address(address)) is None


async def test_a_permitted_address_is_connected_to(listener: int) -> None:
    with await NetworkBroker().connect(manifest(f"127.0.0.1:{listener}"), "127.0.0.1", listener) as connection:
        assert connection.getpeername() == ("127.0.0.1", listener)
        assert connection.getblocking()


async def test_this_host_by_its_name(listener: int, names: dict[str, list[str]]) -> None:
    (await NetworkBroker().connect(manifest(f"localhost:{listener}"), "localhost", listener)).close()


async def refused(broker: NetworkBroker, plugin: PluginManifest, host: str, port: int) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await broker.connect(plugin, host, port)
    return caught.value


@pytest.mark.parametrize("host", ["other.example.com", "127.0.0.1", "", "x" * 300, "a\0b", "a\nb"])
async def test_nothing_is_connected_to_without_permission(host: str) -> None:
    error = await refused(NetworkBroker(), manifest("api.example.com:443"), host, 443)
    assert error.forbidden


@pytest.mark.parametrize("rule", ["*:{}", "*.example.com:{}", "rebound.example.com:{}"])
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"])
async def test_a_name_does_not_lead_to_special_addresses(
    rule: str, address: str, listener: int, names: dict[str, list[str]]
) -> None:
    names["rebound.example.com"] = ["192.0.2.1", address]
    plugin = manifest(rule.format(listener))
    error = await refused(NetworkBroker(), plugin, "rebound.example.com", listener)
    assert error.forbidden
    assert "which takes a permission that names it" in str(error)


async def test_a_name_is_looked_up_once(listener: int, names: dict[str, list[str]]) -> None:
    class Fickle(list[str]):
        """Another answer each time."""

        def __iter__(self) -> Iterator[str]:
            addresses, self[:] = list(self[:]), ["127.0.0.1"]
            return iter(addresses)

    names["fickle.example.com"] = Fickle(["192.0.2.1"])
    broker = NetworkBroker(connect_seconds=0.2)
    error = await refused(broker, manifest(f"*:{listener}"), "fickle.example.com", listener)
    assert not error.forbidden, "it went to the first address, which does not answer"


@pytest.mark.parametrize("own", [True, False])
async def test_services_of_flexcore_take_the_operators_permission(
    own: bool, listener: int, names: dict[str, list[str]]
) -> None:
    names["db.internal"] = ["127.0.0.1"]
    protection = {"own_port": listener} if own else {"protected": [("db.internal", listener)]}
    plugin = manifest(f"127.0.0.1:{listener}", f"[::1]:{listener}")
    error = await refused(NetworkBroker(**protection), plugin, "127.0.0.1", listener)
    assert "a service of FlexCore itself, which takes the operator's permission" in str(error)
    assert (await refused(NetworkBroker(**protection), plugin, "::1", listener)).forbidden, "it is the same host"
    granted = NetworkBroker(granted={"greeter": [f"127.0.0.1:{listener}"]}, **protection)
    (await granted.connect(plugin, "127.0.0.1", listener)).close()
    others = NetworkBroker(granted={"other": [f"127.0.0.1:{listener}"]}, **protection)
    assert (await refused(others, plugin, "127.0.0.1", listener)).forbidden


async def test_what_the_operator_grants_needs_no_permission_of_the_manifest(
    listener: int, names: dict[str, list[str]]
) -> None:
    names["flext"] = ["127.0.0.1"]
    broker = NetworkBroker(granted={"greeter": [f"flext:{listener}"]})
    (await broker.connect(manifest(), "flext", listener)).close()


async def test_an_address_where_nobody_listens(listener: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await refused(NetworkBroker(), manifest("127.0.0.1:*"), "127.0.0.1", port)
    assert str(error) == f"there is no connection to 127.0.0.1:{port}: Connection refused"
    assert not error.forbidden


async def test_a_name_that_there_is_not(names: dict[str, list[str]]) -> None:
    error = await refused(NetworkBroker(), manifest("*:443"), "nowhere.example.com", 443)
    assert str(error) == "there is no connection to nowhere.example.com:443: Name or service not known"


async def test_an_address_that_does_not_answer_is_given_up() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        with contextlib.ExitStack() as stack:
            for _ in range(4):  # fill the line of those who wait to be accepted
                other = stack.enter_context(socket.socket())
                other.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    other.connect(address)
            broker = NetworkBroker(connect_seconds=0.05)
            error = await refused(broker, manifest("127.0.0.1:*"), "127.0.0.1", address[1])
    assert str(error).endswith("it did not answer within 0.05 s")


async def test_slow_lookups_hold_up_only_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release, entered = threading.Event(), threading.Semaphore(0)

    def hang(name: str) -> list[object]:
        entered.release()
        release.wait(10)
        return []

    monkeypatch.setattr(lookups_module, "_addresses", hang)
    lookups = Lookups()
    waiting = [asyncio.create_task(lookups.addresses(f"h{number}.example.com")) for number in range(20)]
    for _ in range(lookups_module.MOST_AT_ONCE):
        assert await asyncio.to_thread(entered.acquire, timeout=10)
    assert await lookups.addresses("192.0.2.1") == [ipaddress.ip_address("192.0.2.1")]
    assert not entered.acquire(blocking=False), "no more than so many at once"
    waiting[0].cancel()
    release.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [[]] * 19
