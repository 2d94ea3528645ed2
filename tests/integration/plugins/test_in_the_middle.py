"""Installations that something happens to: a node that dies in the middle, callers who do not wait for the end."""

import signal
import threading
import uuid
from contextlib import suppress
from pathlib import Path

import httpx

from tests.integration.plugins.conftest import PLUGINS, MakePackage, greeting, node, process_and_client, send
from tests.servers import wait_until

# Slow to answer, so that there is a middle in which to die.
SLOW = """
    def health(self):
        import time
        time.sleep(4)
        return {}
"""


def unpacked(directory: Path) -> list[Path]:
    return list(directory.glob("greeter/*/.installed"))


def test_the_same_request_after_a_kill_installs_it(
    environ: dict[str, str], package: MakePackage, tmp_path: Path
) -> None:
    directory, path, key = tmp_path / "plugins", package(code=SLOW), str(uuid.uuid4())
    with process_and_client(environ, directory) as (process, client):
        asking = threading.Thread(target=lambda: _send(client, path, key))
        asking.start()
        wait_until(lambda: bool(unpacked(directory)), 20, "the package being unpacked")
        process.signal(signal.SIGKILL)
        process.wait()
        asking.join()
    with node(environ, directory) as client:
        assert client.get(f"{PLUGINS}/greeter").status_code == 404
        wait_until(lambda: not unpacked(directory), 20, "what was left behind being removed")
        assert send(client, path, key=key).status_code == 201
        assert greeting(client) == "Hello, Ada"


def test_a_node_that_was_killed_while_it_followed_goes_on(
    environ: dict[str, str], package: MakePackage, tmp_path: Path
) -> None:
    directory = tmp_path / "core2"
    with node(environ, tmp_path / "core1", "core1") as first:
        with process_and_client(environ, directory, "core2") as (process, _):
            assert send(first, package(code=SLOW)).status_code == 201
            wait_until(lambda: bool(unpacked(directory)), 20, "the package on the other node")
            process.signal(signal.SIGKILL)
            process.wait()
        with node(environ, directory, "core2") as second:
            wait_until(lambda: second.get(f"{PLUGINS}/greeter").json()["status"] == "active", 20, "the plugin there")
            assert greeting(second) == "Hello, Ada"


def _send(client: httpx.Client, path: Path, key: str) -> None:
    with suppress(httpx.HTTPError):
        send(client, path, key=key)


def test_callers_notice_no_gap_while_a_version_is_replaced(
    environ: dict[str, str], package: MakePackage, tmp_path: Path
) -> None:
    with node(environ, tmp_path / "plugins") as client:
        assert send(client, package()).status_code == 201
        answer: list[httpx.Response] = []
        newer = package(version="2.0", word="Servus", code=SLOW)
        replacing = threading.Thread(target=lambda: answer.append(send(client, newer, replace="greeter")))
        replacing.start()
        said = []
        while replacing.is_alive():
            said.append(greeting(client))
        said.append(greeting(client))
        assert answer[0].status_code == 200, answer[0].text
    # The old version answers until the new one does, and never again afterwards.
    assert said.count("Hello, Ada") > 1
    assert said == sorted(said)
    assert said[-1] == "Servus, Ada"
