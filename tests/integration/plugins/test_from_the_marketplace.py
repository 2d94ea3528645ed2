"""Plugins from a marketplace: a directory or a web server of signed packages."""

import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from flexcore.infrastructure.marketplace.index import write_index
from flexcore.infrastructure.marketplace.signatures import make_key, public_text, read_key, sign
from tests.integration.plugins.conftest import PLUGINS, MakePackage, greeting, node, send
from tests.integration.server.contract import Contract

MARKETPLACE = "/api/v1/flexcore/marketplace"


@pytest.fixture
def market(tmp_path: Path, package: MakePackage) -> Path:
    """Two plugins, one of which needs the other, all signed."""
    directory = tmp_path / "market"
    key = make_key(tmp_path / "key.pem")
    for number, word in enumerate(("Hello", "Servus", "Moin")):
        package(version=f"1.{number}", word=word, directory=directory)
    package("needy", "2.0", requires={"greeter": ">=1.0,<1.2"}, directory=directory)
    for path in directory.glob("*.tar.gz"):
        plugin_id, _, version = path.name.removesuffix(".tar.gz").partition("-")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".sig").write_text(sign(key, plugin_id, version, digest))
    write_index(directory)
    return directory


@contextmanager
def served(environ: dict[str, str], tmp_path: Path, source: str, **marketplace: Any) -> Iterator[httpx.Client]:
    """Run a node that trusts the key, with a client that checks every answer against the OpenAPI document."""
    config = tmp_path / "config.yaml"
    keys = {"us": public_text(read_key(tmp_path / "key.pem"))}
    settings = {"source": source, "trusted_keys": keys, **marketplace}
    config.write_text(json.dumps({"marketplace": settings, "plugins": {"directory": str(tmp_path / "plugins")}}))
    with node(environ, tmp_path / "plugins", config=config) as client:
        contract = Contract(client.get("/openapi.json").json())

        def check(response: httpx.Response) -> None:
            response.read()
            contract.check(response)

        client.event_hooks = {"response": [check]}
        yield client


def get(client: httpx.Client, plugin_id: str = "greeter", **more: str) -> httpx.Response:
    return client.post(PLUGINS, json={"source": "marketplace", "id": plugin_id, **more})


def detail(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["detail"])


def test_a_plugin_comes_with_what_it_needs(environ: dict[str, str], market: Path, tmp_path: Path) -> None:
    with served(environ, tmp_path, str(market)) as client:
        listed = client.get(MARKETPLACE).json()
        assert [(each["id"], each["installed_version"]) for each in listed["plugins"]] == [
            ("greeter", None), ("needy", None),
        ]  # fmt: skip
        assert get(client, "needy").status_code == 201
        assert client.get(f"{PLUGINS}/greeter").json()["version"] == "1.1"
        assert greeting(client) == "Servus, Ada"
        (found,) = client.get(MARKETPLACE, params={"query": "GREET er"}).json()["plugins"][:1]
        assert (found["installed_version"], found["versions"][0]["version"]) == ("1.1", "1.2")
        assert (found["versions"][0]["signed"], found["versions"][0]["signed_by"]) == (True, "us")
        (event,) = client.get("/api/v1/flexcore/events", params={"aggregate_id": "needy"}).json()["events"]
        assert (event["data"]["source"], event["data"]["signed_by"]) == ("marketplace", "us")


def test_versions_are_exact_ranges_or_the_newest(environ: dict[str, str], market: Path, tmp_path: Path) -> None:
    with served(environ, tmp_path, str(market)) as client:
        assert get(client, version=">=1,<1.2").json()["version"] == "1.1"
        assert get(client, version="1.1").status_code == 200
        assert "is installed as version 1.1" in detail(get(client), 409)

        def put(**more: str) -> httpx.Response:
            return client.put(f"{PLUGINS}/greeter", json={"source": "marketplace", "id": "greeter", **more})

        assert put().json()["version"] == "1.2"
        assert put(version="1.0").json()["version"] == "1.0"
        assert greeting(client) == "Hello, Ada"
        assert "has no version 7 of plugin 'greeter'; it has 1.2, 1.1, 1.0" in detail(put(version="7"), 404)
        assert "the marketplace has no plugin 'nobody'" in detail(get(client, "nobody"), 404)
        other = client.put(f"{PLUGINS}/greeter", json={"source": "marketplace", "id": "needy"})
        assert "id must be 'greeter'" in detail(other, 400)


def test_what_is_not_what_the_index_says_is_refused(
    environ: dict[str, str], market: Path, package: MakePackage, tmp_path: Path
) -> None:
    index = json.loads((market / "index.json").read_text())
    greeter = next(plugin for plugin in index["plugins"] if plugin["id"] == "greeter")
    newest, middle, oldest = greeter["versions"]
    newest["signature"] = middle["signature"]
    oldest["dependencies"] = {"json-processor": ">=99"}
    (market / "index.json").write_text(json.dumps(index))
    (market / middle["file"]).write_bytes((market / newest["file"]).read_bytes())
    with served(environ, tmp_path, str(market)) as client:
        assert "is by no trusted key; trusted are: us" in detail(get(client, version="1.2"), 422)
        assert "another SHA-256 than its index says" in detail(get(client, version="1.1"), 422)
        assert "other dependencies than its index says" in detail(get(client, version="1.0"), 422)
        assert client.get(f"{PLUGINS}/greeter").status_code == 404


def test_unsigned_packages_are_taken_where_the_settings_say_so(
    environ: dict[str, str], market: Path, tmp_path: Path
) -> None:
    for path in market.glob("*.sig"):
        path.unlink()
    write_index(market)
    with served(environ, tmp_path, str(market)) as client:
        assert "it is not signed" in detail(get(client), 422)
    with served(environ, tmp_path, str(market), allow_unsigned=True) as client:
        assert get(client).status_code == 201


def test_uploads_have_to_be_signed_where_the_settings_say_so(
    environ: dict[str, str], market: Path, tmp_path: Path
) -> None:
    path = market / "greeter-1.0.tar.gz"
    signature = path.with_name(path.name + ".sig").read_text()
    with served({**environ, "FLEXCORE_PLUGINS_REQUIRE_SIGNATURE": "true"}, tmp_path, str(market)) as client:
        assert "signature is required here" in detail(send(client, path), 400)
        wrong = (market / "greeter-1.1.tar.gz.sig").read_text()
        assert "by no trusted key" in detail(send(client, path, signature=wrong), 400)
        assert send(client, path, signature=signature).status_code == 201


class Files(SimpleHTTPRequestHandler):
    """A directory on the web, without a word about it."""

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def web_server(directory: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_web_server_does_as_well_until_it_is_gone(environ: dict[str, str], market: Path, tmp_path: Path) -> None:
    with web_server(tmp_path) as url:
        with served(environ, tmp_path, f"{url}/market/") as client:
            assert get(client, "needy").status_code == 201
            (market / "greeter-1.2.tar.gz").unlink()
            missing = client.put(
                f"{PLUGINS}/greeter", json={"source": "marketplace", "id": "greeter", "version": "1.2"}
            )
            assert "does not have it" in detail(missing, 404)
        with served(environ, tmp_path, f"{url}/nowhere") as client:
            assert "answers 404 when asked for its index" in detail(client.get(MARKETPLACE), 503)
    with served(environ, tmp_path, url) as client:
        assert "the marketplace can't be reached" in detail(client.get(MARKETPLACE), 503)
        assert greeting(client) == "Servus, Ada"


def test_without_a_marketplace_there_is_nothing_to_have(checked: httpx.Client) -> None:
    assert checked.get(MARKETPLACE).json() == {"plugins": [], "total": 0, "limit": 50, "offset": 0}
    assert "the marketplace has no plugin 'greeter'" in detail(get(checked), 404)
