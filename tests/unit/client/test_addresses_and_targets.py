"""Addresses and targets: what is accepted, and that no complaint repeats a secret."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

import pytest
from flexcore_client.address import _is_own, parse_address, password_in
from flexcore_client.errors import InputError
from flexcore_client.targets import Target, parse_targets


@pytest.mark.parametrize(
    ("text", "url", "service", "local"),
    [
        ("http://core1:8080", "http://core1:8080", "flexcore", False),
        ("https://core1/", "https://core1:443", "flexcore", False),
        ("http://proxy/flexcore/", "http://proxy:80/flexcore", "flexcore", False),
        ("http://core_1./X//", "http://core_1.:80/X", "flexcore", False),
        ("postgresql://127.0.0.1", "postgresql://127.0.0.1:5432", "postgresql", True),
        ("redis://[::1]:6380", "redis://[::1]:6380", "redis", True),
        ("http://0.0.0.0:8080", "http://0.0.0.0:8080", "flexcore", True),
        (" http://localhost:1 ", "http://localhost:1", "flexcore", True),
        ("http://kärnan.example:1", "http://xn--krnan-gra.example:1", "flexcore", False),
    ],
)
def test_accepted_addresses(text: str, url: str, service: str, local: bool) -> None:
    address = parse_address(text)
    assert (address.url, address.service, address.is_loopback) == (url, service, local)


@pytest.mark.parametrize(
    ("host", "own"),
    [("localhost", True), ("[::]", True), ("[::1]", True), ("192.0.2.1", False), ("core1", False)],
)
def test_own_addresses(host: str, own: bool) -> None:
    assert parse_address(f"http://{host}:8080").is_this_machine is own


@pytest.mark.parametrize(("number", "own"), [("127.0.0.1", True), ("192.0.2.1", False), ("2001:db8::1", False)])
def test_the_kernel_knows_its_own_addresses(number: str, own: bool) -> None:
    assert _is_own(ipaddress.ip_address(number)) is own


@pytest.mark.parametrize(("number", "family"), [("127.0.0.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6)])
def test_it_is_asked_without_a_word_to_anybody(
    number: str, family: socket.AddressFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    class Socket(contextlib.nullcontext[None]):
        def __init__(self, *kind: object) -> None:
            super().__init__()
            asked.extend(kind)

        def __enter__(self) -> Socket:  # type: ignore[override]  # it gives itself, as a socket does
            return self

        def bind(self, where: object) -> None:
            asked.append(where)

    monkeypatch.setattr(socket, "socket", Socket)
    assert _is_own(ipaddress.ip_address(number))
    assert asked == [family, socket.SOCK_DGRAM, (number, 0)]


ALLOWED = "an address looks like http://host:8080, https://host:8443, postgresql://host:5432 or redis://host:6379"
PRIVATE = (
    "The address holds user information (user:password@), a query or a fragment: leave it out, a token belongs in its "
    f"own option or file; {ALLOWED}"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", f"The address '' has the scheme 'none': {ALLOWED}"),
        ("core1:8080", f"The address 'core1:8080' has the scheme 'core1': {ALLOWED}"),
        ("ftp://core1", f"The address 'ftp://core1' has the scheme 'ftp': {ALLOWED}"),
        ("http://", f"The address 'http://' has no host or port 0: {ALLOWED}"),
        ("http://core1:0", f"The address 'http://core1:0' has no host or port 0: {ALLOWED}"),
        ("http://k\u200eärnan", f"The address 'http://k\\u200eärnan' has a host that is no name: {ALLOWED}"),
        ("http://core1..a", f"The address 'http://core1..a' has a host that is no name: {ALLOWED}"),
        ("http://core1:99999", f"The address cannot be read (Port out of range 0-65535): {ALLOWED}"),
        ("http://[::1", f"The address cannot be read (Invalid IPv6 URL): {ALLOWED}"),
        ("redis://core1/3", f"The address 'redis://core1/3' has a path: {ALLOWED}"),
        ("http://user:hunter2@core1:8080", PRIVATE),
        ("user:hunter2@core1:8080", PRIVATE),
        ("redis://:hunter2@core1", PRIVATE),
        ("http://core1:8080/?token=hunter2", PRIVATE),
        ("http://core1:8080/#hunter2", PRIVATE),
    ],
)
def test_refused_addresses_name_what_is_allowed_and_no_secret(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text)
    assert str(caught.value) == words
    assert "hunter2" not in str(caught.value)


def test_a_password_in_an_address_is_found() -> None:
    assert password_in("http://user:hunter2@core1:8080") == "hunter2"
    assert password_in("http://core1:8080") is None
    assert password_in("http://[::1") is None


def test_names_default_to_the_service_and_the_token_is_for_flexcore_only() -> None:
    entries = [{"url": "http://a:1"}, {"url": "redis://b"}, {"name": "main", "url": "postgresql://c"}]
    targets = parse_targets(entries, "secret")
    assert [(target.name, target.token) for target in targets] == [
        ("flexcore", "secret"),
        ("redis", None),
        ("main", None),
    ]


def test_a_target_has_what_it_was_given() -> None:
    entry = {"name": "a", "url": "http://a:1"}
    assert parse_targets([entry]) == [Target("a", parse_address("http://a:1"), None, "auto")]
    assert parse_targets([entry], "t", "seed-2025") == [Target("a", parse_address("http://a:1"), "t", "seed-2025")]


NEEDED = "needs a url such as http://host:8080, and may have a name"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "there is nothing to check: give at least one target"),
        ([{}], f"target 1 {NEEDED}"),
        (["http://a:1"], f"target 1 {NEEDED}"),
        ([{"url": "http://a:1"}, {"url": 3}], f"target 2 {NEEDED}"),
        ([{"url": "http://a:1"}, {"url": "b"}], f"target 2: The address 'b' has the scheme 'none': {ALLOWED}"),
        (
            [{"url": "http://a:1", "port": 3, "api": "x"}],
            "target 1 has the unknown key 'api': allowed are name and url",
        ),
    ],
)
def test_refused_targets(entries: list[dict[str, str]], words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_targets(entries)
    assert str(caught.value) == words


def test_an_unknown_api_is_refused() -> None:
    with pytest.raises(InputError, match="auto, flexcore-v1, seed-2025"):
        parse_targets([{"url": "http://a:1"}], api="v2")
