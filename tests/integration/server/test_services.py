"""Service discovery against neighbours that are well, ill, silent and odd."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml

from tests.integration.server.flexcore_process import running
from tests.servers import free_port

SERVICES = "/api/v1/flexcore/services"


class Neighbour:
    """A service that answers every GET in the same way, and counts them."""

    def __init__(self, status: int, body: str, *, silent: bool = False) -> None:
        self.asked = 0
        self.release = threading.Event()
        neighbour = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                neighbour.asked += 1
                if silent:
                    neighbour.release.wait()
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def neighbours() -> Iterator[dict[str, Neighbour]]:
    found = {
        "well": Neighbour(200, '{"status": "ok", "version": "2.0", "uptime": 5}'),
        "tired": Neighbour(200, '{"status": "DEGRADED"}'),
        "ill": Neighbour(503, '{"status": "healthy"}'),
        "odd": Neighbour(200, "<html>welcome</html>"),
        "elsewhere": Neighbour(302, ""),
        "endless": Neighbour(200, "[" * 100_000),
        "silent": Neighbour(200, "", silent=True),
        "mute": Neighbour(200, "", silent=True),
    }
    yield found
    for neighbour in found.values():
        neighbour.close()


@pytest.fixture
def discovery(environ: dict[str, str], neighbours: dict[str, Neighbour], tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a node that was told of the neighbours, and of one that is not there."""
    urls = {name: neighbour.url for name, neighbour in neighbours.items()}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"services": urls | {"absent": f"http://127.0.0.1:{free_port()}"}}))
    with running(environ, "--config", str(file)) as flexcore, flexcore.client() as api:
        yield api


def test_every_service_is_shown_as_it_is(discovery: httpx.Client, neighbours: dict[str, Neighbour]) -> None:
    services = {service["service_name"]: service for service in discovery.get(SERVICES).json()["services"]}
    assert {name: service["status"] for name, service in services.items()} == {
        "flexcore": "healthy",
        "well": "healthy",
        "tired": "degraded",
        "ill": "unhealthy",
        "odd": "unknown",
        "elsewhere": "unknown",
        "endless": "unknown",
        "silent": "unhealthy",
        "mute": "unhealthy",
        "absent": "unhealthy",
    }
    assert services["well"]["details"] == {"http_status": 200, "version": "2.0", "uptime": 5}
    assert services["silent"]["details"]["message"] == "no answer within 2 s"
    assert services["absent"]["details"]["message"] == "connection refused"
    assert services["absent"]["response_time_ms"] is None
    # Each of these took its 2 s. Asked one after the other, they would have been given up as long apart.
    given_up = [datetime.fromisoformat(services[name]["last_check"]) for name in ("silent", "mute")]
    assert max(given_up) - min(given_up) < timedelta(seconds=2)


def test_answers_are_remembered_for_a_moment(discovery: httpx.Client, neighbours: dict[str, Neighbour]) -> None:
    first = discovery.get(f"{SERVICES}/well").json()
    second = discovery.get(f"{SERVICES}/well").json()
    assert first == second
    assert neighbours["well"].asked == 1
    assert neighbours["odd"].asked == 0


def test_an_unknown_service_is_a_404_that_lists_the_known_ones(discovery: httpx.Client) -> None:
    answer = discovery.get(f"{SERVICES}/nobody")
    assert answer.status_code == 404
    assert "Known are flexcore, " in answer.json()["detail"]


def test_flexcore_itself_is_a_service(discovery: httpx.Client) -> None:
    itself = discovery.get(f"{SERVICES}/flexcore").json()
    assert (itself["status"], itself["details"]["node_id"]) == ("healthy", "core1")
    assert itself["url"] == str(discovery.base_url).rstrip("/")
