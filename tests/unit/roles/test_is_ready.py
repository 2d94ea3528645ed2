"""How a deployment sees that the server is ready: by its answer, and over HTTPS by the certificate it was given."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509

from tests.doubles.certificates import Authority, context_of

PROGRAM = Path(__file__).resolve().parents[3] / "roles/flexcore/files/is_ready.py"
TOKEN = "token-token-token-token-1"


class Server(HTTPServer):
    """Answers with `status` and remembers whom it answered."""

    status = 200
    seen: tuple[str | None, ...] = ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that hung up."""


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.seen += (self.headers["Authorization"],)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps({"reasons": ["redis: away"]}).encode())

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving(pair: tuple[str, str] | None = None, status: int = 200) -> Iterator[tuple[Server, str]]:
    with Server(("127.0.0.1", 0), Answer) as server:
        server.status = status
        if pair is not None:
            server.socket = context_of(*pair).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server, f"{'http' if pair is None else 'https'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "api_token"
    file.write_text(TOKEN)
    return file


def ask(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, done.stderr.strip()


def test_a_server_that_is_ready_is_asked_with_the_token(token_file: Path) -> None:
    with serving() as (server, url):
        assert ask(url, token_file) == (0, "")
        assert server.seen == (f"Bearer {TOKEN}",)


@pytest.mark.parametrize(("status", "exit_status"), [(503, 75), (401, 1)])
def test_a_server_that_is_not_ready_says_why(token_file: Path, status: int, exit_status: int) -> None:
    with serving(status=status) as (_, url):
        assert ask(url, token_file) == (exit_status, "redis: away")


def test_a_server_that_is_away_will_not_come_by_itself(token_file: Path) -> None:
    with serving() as (_, url):
        pass
    exit_status, reason = ask(url, token_file)
    assert exit_status == 1
    assert "refused" in reason


def test_the_certificate_that_was_deployed_is_known_by_whatever_name_it_is_for(
    token_file: Path, tmp_path: Path
) -> None:
    pair = Authority(tmp_path).issue(x509.DNSName("flexcore.example.org"))
    file = tmp_path / "server.pem"
    file.write_text("".join(pair))
    with serving(pair) as (server, url):
        assert ask(url, token_file, file) == (0, "")
        assert server.seen == (f"Bearer {TOKEN}",)


def test_another_certificate_is_not_given_the_token(token_file: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    file = tmp_path / "server.pem"
    file.write_text("".join(authority.issue()))
    with serving(authority.issue()) as (server, url):
        exit_status, reason = ask(url, token_file, file)
        assert (exit_status, server.seen) == (75, ())
        assert "does not show the certificate" in reason
