"""Packages on two nodes: what one installs the other runs, and a node that can't says so."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.plugins.conftest import PLUGINS, MakePackage, greet, greeting, node, send
from tests.servers import PostgresServer, wait_until


@pytest.fixture
def two(environ: dict[str, str], tmp_path: Path) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with (
        node(environ, tmp_path / "core1", "core1") as first,
        node(environ, tmp_path / "core2", "core2") as second,
    ):
        yield first, second


def says(client: httpx.Client, greeting: str) -> bool:
    answer = greet(client)
    return answer.status_code == 200 and answer.json()["result"]["data"]["greeting"] == greeting


def status(client: httpx.Client) -> str:
    return str(client.get(f"{PLUGINS}/greeter").json().get("status"))


def test_what_one_node_changes_reaches_the_other(
    two: tuple[httpx.Client, httpx.Client], package: MakePackage, tmp_path: Path
) -> None:
    first, second = two
    assert send(first, package()).status_code == 201
    wait_until(lambda: says(second, "Hello, Ada"), 20, "the plugin on the other node")
    assert send(second, package(version="1.1", word="Servus"), replace="greeter").status_code == 200
    assert greeting(second) == "Servus, Ada"
    wait_until(lambda: says(first, "Servus, Ada"), 20, "the new version on the other node")
    assert first.delete(f"{PLUGINS}/greeter").status_code == 204
    assert greet(second).status_code == 404


def test_a_node_where_it_does_not_run_says_so(
    environ: dict[str, str], two: tuple[httpx.Client, httpx.Client], package: MakePackage, tmp_path: Path
) -> None:
    first, second = two
    only_here = """
    def health(self):
        from pathlib import Path
        if "core2" in __file__:
            raise RuntimeError("no room here")
"""
    assert send(first, package(code=only_here)).status_code == 201
    wait_until(lambda: "no room here" in greet(second).text, 20, "the reason on the other node")
    assert (status(first), status(second)) == ("active", "error")
    assert greeting(first) == "Hello, Ada"


def test_a_package_that_was_changed_in_the_database_is_not_run(
    environ: dict[str, str], postgres_server: PostgresServer, package: MakePackage, tmp_path: Path
) -> None:
    with node(environ, tmp_path / "core1", "core1") as first:
        send(first, package())
        with postgres_server.connect(database=environ["POSTGRES_DB"]) as connection:
            connection.execute("UPDATE plugin_package_pieces SET content = content || 'x'::bytea")
        with node(environ, tmp_path / "core2", "core2") as second:
            wait_until(lambda: "another SHA-256" in greet(second).text, 20, "the reason")
            assert status(second) == "error"
