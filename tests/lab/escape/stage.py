"""Where the attempts are made: FlexCore on a real host, the hostile plugins installed by its API, and who watches."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.lab.deployments import Deployment
from tests.lab.escape import packages
from tests.lab.hosts import LabHost, eventually

API = "/api/v1/flexcore"
PLUGINS = "/var/lib/flexcore-plugins"
EXECUTION_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt: how its execution ended, what it answered, and the whole record of it."""

    status: str
    answer: Any
    correlation_id: str
    record: Mapping[str, Any]

    @property
    def escaped(self) -> Any:
        """The evidence that the attempt succeeded, if it did."""
        return self.answer.get("escaped") if isinstance(self.answer, dict) else None


class Stage:
    """A client of the API with an administrator's token, on the host where the attempts are made."""

    def __init__(self, deployment: Deployment, host: LabHost, listener: tuple[str, int]) -> None:
        self.host = host
        self.api = httpx.Client(
            base_url=f"http://{host.address}:8080",
            headers={"Authorization": f"Bearer {deployment.secrets['api_token']}"},
            timeout=EXECUTION_SECONDS,
        )
        self.facts = {
            "address": host.address,
            "name": host.name,
            "listener": listener[0],
            "listener_port": str(listener[1]),
            "memory_mb": str(packages.MEMORY_MB),
            "plugins": PLUGINS,
            "program": "/bin/true",
            "run": uuid.uuid4().hex,
        }

    def send(self, package: bytes, file: str = "package.tar.gz") -> httpx.Response:
        """Upload a package."""
        return self.api.post(f"{API}/plugins", files={"package": (file, package, "application/octet-stream")})

    def install(self, package: bytes) -> None:
        """Upload a package that has to be taken."""
        answer = self.send(package)
        assert answer.status_code in (200, 201), answer.text

    def remove(self, plugin_id: str) -> None:
        """Remove a plugin that may be there."""
        answer = self.api.delete(f"{API}/plugins/{plugin_id}")
        assert answer.status_code in (204, 404), answer.text

    def keep_secret(self, file: str, secret: str) -> None:
        """Give the server a secret of a plugin, as the role does, and wait until it serves again."""
        _pipe(self.host, f"sudo install -m 0600 /dev/stdin {file} && sudo systemctl restart flexcore.service", secret)
        eventually("the server serves again", self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return self.api.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def execute(self, plugin_id: str, operation: str = "attempt", **data: Any) -> Outcome:
        """Run one operation to its end."""
        correlation_id = f"escape-{uuid.uuid4().hex[:12]}"
        answer = self.api.post(
            f"{API}/plugins/{plugin_id}/execute",
            headers={"X-Correlation-ID": correlation_id},
            json={"operation": operation, "parameters": {"timeout_seconds": EXECUTION_SECONDS, "data": data}},
        )
        body = answer.json()
        assert "execution_id" in body, f"it was never executed: {answer.status_code} {answer.text}"
        record = self.execution(body["execution_id"])
        return Outcome(record["status"], (body.get("result") or {}).get("data"), correlation_id, record)

    def begin(self, plugin_id: str, **data: Any) -> str:
        """Begin an execution and return its id."""
        answer = self.api.post(
            f"{API}/plugins/{plugin_id}/execute",
            params={"async": "true"},
            json={"operation": "attempt", "parameters": {"timeout_seconds": EXECUTION_SECONDS, "data": data}},
        )
        assert answer.status_code == 202, answer.text
        execution_id: str = answer.json()["execution_id"]
        return execution_id

    def execution(self, execution_id: str) -> dict[str, Any]:
        """The record of an execution."""
        answer = self.api.get(f"{API}/executions/{execution_id}")
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def audited(self, **query: str) -> list[dict[str, Any]]:
        """The newest audit records."""
        answer = self.api.get(f"{API}/audit", params={"limit": "200", **query})
        assert answer.status_code == 200, answer.text
        records: list[dict[str, Any]] = answer.json()["audit"]
        return records

    def unconfined(self, user: str, names: list[str]) -> dict[str, Any]:
        """Run probes on the host as `user` with no sandbox around them; the outcomes by name."""
        directory = f"/tmp/flexcore-escape-{user}"
        probes = packages.HERE / "probes"
        files = "".join(f"===={file.name}\n{file.read_text()}" for file in sorted(probes.glob("*.py")))
        unpack = """awk '/^====/ { file = "probes/" substr($0, 5); next } { print > file }'"""
        setup = f"rm -rf {directory} && mkdir -p {directory}/probes && cd {directory} && {unpack}"
        _pipe(self.host, f"sudo -u {user} sh -c '{_quoted(setup)}'", files)
        try:
            question = json.dumps({"names": names, "host": self.facts})
            run = f"cd {directory} && exec python3 -m probes.run"
            answered: dict[str, Any] = json.loads(_pipe(self.host, f"sudo -u {user} sh -c '{run}'", question))
            return answered
        finally:
            self.host.run(f"sudo rm -rf {directory}; sudo pkill -u flexcore-sandbox -f probes.run; true")


def _quoted(command: str) -> str:
    return command.replace("'", "'\\''")


def _pipe(host: LabHost, command: str, text: str) -> str:
    done = subprocess.run([*host.ssh(), command], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command} failed: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def listening(address: str) -> Iterator[tuple[str, int]]:
    """A port of this machine that hosts of the lab reach, and on which nobody is expected."""
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()[:2]


@dataclass
class Watch:
    """Asks for the server's health without pause, and keeps what was not healthy and how long each answer took."""

    address: str
    wrong: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until it is stopped."""
        with httpx.Client(base_url=f"http://{self.address}:8080", timeout=5) as client:
            while not self._stop.wait(0.05):
                started = time.perf_counter()
                try:
                    answer = client.get("/health")
                    said = f"{answer.status_code} {answer.json().get('status')}"
                except (httpx.TransportError, ValueError) as error:
                    said = f"no answer: {error!r}"
                self.milliseconds.append(1000 * (time.perf_counter() - started))
                if said != "200 healthy":
                    self.wrong.append(said)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    @property
    def p95(self) -> float:
        """The time that one answer of twenty took longer than, in milliseconds."""
        return statistics.quantiles(self.milliseconds, n=20)[-1]


@contextmanager
def watching(address: str) -> Iterator[Watch]:
    """Watch the server's health for a while."""
    watch = Watch(address)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()
