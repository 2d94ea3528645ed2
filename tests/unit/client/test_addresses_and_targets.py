"""Addresses and targets: what is accepted, and that no complaint repeats a secret."""

from __future__ import annotations

import ipaddress

import pytest
from flexcore_client.address import _is_own, parse_address, password_in
from flexcore_client.errors import InputError
from flexcore_client.targets import parse_targets


@pytest.mark.parametrize(
    ("text", "url", "service", "local"),
    [
        ("http://core1:8080", "http://core1:8080", "flexcore", False),
        ("https://core1/", "https://core1:443", "flexcore", False),
        ("http://proxy/flexcore/", "http://proxy:80/flexcore", "flexcore", False),
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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "core1:8080",
        "ftp://core1",
        "http://",
        "http://core1:0",
        "http://k\u200eärnan",
        "http://core1:99999",
        "http://[::1",
        "redis://core1/3",
        "http://user:hunter2@core1:8080",
        "user:hunter2@core1:8080",
        "redis://:hunter2@core1",
        "http://core1:8080/?token=hunter2",
        "http://core1:8080/#hunter2",
    ],
)
def test_refused_addresses_name_what_is_allowed_and_no_secret(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text)
    assert "http://host:8080" in str(caught.value)
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


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "nothing to check"),
        ([{}], "target 1 needs a url"),
        (["http://a:1"], "target 1 needs a url"),
        ([{"url": 3}], "target 1 needs a url"),
        ([{"url": "http://a:1"}, {"url": "b"}], "target 2: "),
        ([{"url": "http://a:1", "port": 3}], "unknown key 'port'"),
    ],
)
def test_refused_targets(entries: list[dict[str, str]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_targets(entries)


def test_an_unknown_api_is_refused() -> None:
    with pytest.raises(InputError, match="auto, flexcore-v1, seed-2025"):
        parse_targets([{"url": "http://a:1"}], api="v2")
