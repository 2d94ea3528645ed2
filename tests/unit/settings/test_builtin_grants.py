"""What the settings let the built-in plugins do, and that a wrong one stops the start."""

from pathlib import Path

import pytest

from flexcore.configuration import SettingsError, load
from flexcore.domain.manifest import Permissions
from flexcore.wiring import builtin_grants


def settings(path: Path, text: str):  # type: ignore[no-untyped-def]  # the type is the loader's business
    file = path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, {}, required=()).settings


def test_by_default_the_flext_service_is_next_door(tmp_path: Path) -> None:
    grants = builtin_grants(settings(tmp_path, ""))
    assert list(grants) == ["flext-service"]
    assert grants["flext-service"].permissions == Permissions(network=("127.0.0.1:8081",))
    assert grants["flext-service"].configuration == {"url": "http://127.0.0.1:8081"}


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://flext.example.com", "flext.example.com:443"),
        ("http://FLEXT.example.com/", "flext.example.com:80"),
        ("http://[::1]:8081", "[::1]:8081"),
    ],
)
def test_the_flext_service_is_where_its_url_says(tmp_path: Path, url: str, where: str) -> None:
    grants = builtin_grants(settings(tmp_path, f"services: {{flext-service: '{url}'}}\n"))
    assert grants["flext-service"].permissions.network == (where,)


def test_without_a_flext_service_nothing_is_granted(tmp_path: Path) -> None:
    assert builtin_grants(settings(tmp_path, "services: {}\n")) == {}


def test_databases_are_reached_with_a_secret_each(tmp_path: Path) -> None:
    text = """
    services: {}
    builtins:
      postgres_connections:
        default: postgresql://reader@db.example.com/sales
        other: postgresql://a%20b@[2001:db8::1]:6432/my%20data?sslmode=verify-full
        same: postgresql://writer@db.example.com:5432/sales
    """
    grant = builtin_grants(settings(tmp_path, text))["postgres-processor"]
    assert grant.permissions == Permissions(
        network=("db.example.com:5432", "[2001:db8::1]:6432"),
        secrets=("default_password", "other_password", "same_password"),
    )
    assert grant.configuration["connections"]["other"] == {
        "host": "2001:db8::1",
        "port": 6432,
        "user": "a b",
        "database": "my data",
        "sslmode": "verify-full",
        "secret": "other_password",
    }
    assert grant.configuration["connections"]["default"]["sslmode"] == "prefer"


def test_files_are_those_that_are_named(tmp_path: Path) -> None:
    text = "services: {}\nbuiltins: {read: [/srv/in], write: [/srv/out]}\n"
    grant = builtin_grants(settings(tmp_path, text))["data-processor"]
    assert grant.permissions == Permissions(read=("/srv/in",), write=("/srv/out",))


@pytest.mark.parametrize(
    "text",
    [
        "services: {flext-service: 'http://host:65536'}",
        "services: {flext-service: 'http://host:x'}",
        "builtins: {postgres_connections: {default: 'postgresql://user:password@host/db'}}",
        "builtins: {postgres_connections: {default: 'postgresql://host/db'}}",
        "builtins: {postgres_connections: {default: 'postgresql://user@host:70000/db'}}",
        "builtins: {postgres_connections: {default: 'postgresql://user@host/db?sslmode=maybe'}}",
        "builtins: {postgres_connections: {Default: 'postgresql://user@host/db'}}",
        "builtins: {read: [relative]}",
        "builtins: {write: [/]}",
    ],
)
def test_what_is_wrong_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^(services|builtins)\.?"):
        settings(tmp_path, text + "\n")
