"""Packages of a small plugin in any version, and servers to install them on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.server.conftest import api, checked, environ, flexcore
from tests.integration.server.flexcore_process import FlexCoreProcess, running
from tests.unit.packages.archives import tar_gz

__all__ = ["api", "checked", "environ", "flexcore"]

PLUGINS = "/api/v1/flexcore/plugins"
MANIFEST = """\
id = "{id}"
name = "Greeter"
version = "{version}"
type = "processor"
description = "Greets people"
entry_point = "greeter:Greeter"
{more}
[commands.greet]
description = "Say hello"
default = true
[commands.greet.parameters]
required = ["name"]
additionalProperties = false
properties = {{ name = {{ type = "string" }} }}
"""
CODE = """\
class Greeter:
    def __init__(self, configuration):
        pass

    def greet(self, name):
        return {{"greeting": "{word}, " + name}}
{more}
"""
SICK = """
    def health(self):
        raise RuntimeError("it was never well")
"""
MakePackage = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path) -> MakePackage:
    """Make a package of a plugin, by default one that greets."""

    def make(
        plugin_id: str = "greeter",
        version: str = "1.0",
        *,
        word: str = "Hello",
        requires: Mapping[str, str] | None = None,
        code: str = "",
        directory: Path = tmp_path,
    ) -> Path:
        ranges = "".join(f'"{name}" = "{text}"\n' for name, text in (requires or {}).items())
        manifest = MANIFEST.format(id=plugin_id, version=version, more=f"[dependencies]\n{ranges}" if ranges else "")
        files = {"flexcore-plugin.toml": manifest, "greeter.py": CODE.format(word=word, more=code)}
        directory.mkdir(exist_ok=True)
        return tar_gz(directory / f"{plugin_id}-{version}.tar.gz", files)

    return make


def send(
    client: httpx.Client,
    path: Path,
    *,
    replace: str | None = None,
    signature: str | None = None,
    key: str | None = None,
) -> httpx.Response:
    """Upload a package, as a new plugin or in the place of one."""
    parts = {"package": (path.name, path.read_bytes())}
    data = {} if signature is None else {"signature": signature}
    headers = {} if key is None else {"idempotency-key": key}
    method, url = ("POST", PLUGINS) if replace is None else ("PUT", f"{PLUGINS}/{replace}")
    return client.request(method, url, files=parts, data=data, headers=headers)


def greet(client: httpx.Client, plugin_id: str = "greeter") -> httpx.Response:
    """Run the plugin."""
    return client.post(
        f"{PLUGINS}/{plugin_id}/execute", json={"operation": "greet", "parameters": {"data": {"name": "Ada"}}}
    )


def greeting(client: httpx.Client, plugin_id: str = "greeter") -> str:
    """Run the plugin and return what it says."""
    answer = greet(client, plugin_id)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result"]["data"]["greeting"])


@contextmanager
def node(
    environ: Mapping[str, str], directory: Path, node_id: str = "core1", config: Path | None = None
) -> Iterator[httpx.Client]:
    """Run a node whose plugins lie in `directory`."""
    with process_and_client(environ, directory, node_id, config) as (_, client):
        yield client


@contextmanager
def process_and_client(
    environ: Mapping[str, str], directory: Path, node_id: str = "core1", config: Path | None = None
) -> Iterator[tuple[FlexCoreProcess, httpx.Client]]:
    """Run a node whose plugins lie in `directory`, with its process to do something to."""
    own = {"FLEXCORE_NODE_ID": node_id, "FLEXCORE_PLUGINS_DIRECTORY": str(directory)}
    arguments = () if config is None else ("--config", str(config))
    with running({**environ, **own}, *arguments) as process, process.client() as client:
        yield process, client
