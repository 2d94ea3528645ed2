"""A host that serves HTTPS: everything that asks it follows, and a renewed certificate costs nobody a connection."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from tests.doubles.certificates import Authority
from tests.lab.deployments import Deployment
from tests.lab.hosts import LabHost
from tests.lab.playbooks import PlaybookRun, run_playbook

PORT = 8080
ONLY = ("--tags", "flexcore,health_schedule")


class Https:
    """The one host, and the certificates that it is given."""

    def __init__(self, deployment: Deployment, directory: Path) -> None:
        self.deployment = deployment
        self.host: LabHost = deployment.lab.hosts["lab1"]
        self.authority = Authority(directory)
        self.context = ssl.create_default_context(cafile=str(self.authority.path))
        self.variables: dict[str, str] = {}
        self.renew()

    def renew(self) -> None:
        """Have another certificate for the host's address, which is not deployed yet."""
        certificate, key = self.authority.issue(x509.IPAddress(ip_address(self.host.address)))
        self.variables = {
            "flexcore_tls_certificate": certificate,
            "flexcore_tls_key": key,
            "flexcore_tls_authority": self.authority.path.read_text(),
        }

    def playbook(self, playbook: str, *arguments: str, check: bool = True) -> PlaybookRun:
        """Run a playbook on the host with HTTPS."""
        return self.deployment.lab.playbook(playbook, "-e", json.dumps(self.variables), *arguments, check=check)

    def health(self, name: str) -> PlaybookRun:
        """What `make health` shows when it calls the server by a name."""
        lab = self.deployment.lab
        variables = json.dumps(self.variables | {"flexcore_tls_name": name, "format": "json"})
        environment = lab.environment | {"ANSIBLE_STDOUT_CALLBACK": "report"}
        return run_playbook(
            "health.yml", "-e", variables, inventory=lab.inventory, environment=environment, check=False
        )

    @contextmanager
    def connected(self) -> Iterator[http.client.HTTPSConnection]:
        """A connection that trusts the authority."""
        connection = http.client.HTTPSConnection(self.host.address, PORT, timeout=30, context=self.context)
        connection.connect()
        try:
            yield connection
        finally:
            connection.close()

    def shown(self) -> bytes:
        """The certificate that a new connection is shown."""
        with self.connected() as connection:
            certificate = connection.sock.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate

    def main_pid(self) -> str:
        return self.host.run("systemctl show --property MainPID --value flexcore").stdout


@pytest.fixture(scope="module")
def https(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    """The host, serving HTTPS; HTTP again afterwards, with nothing left of it."""
    https = Https(deployment, tmp_path_factory.mktemp("authority"))
    try:
        https.playbook("site.yml", *ONLY)
        yield https
    finally:
        deployment.lab.playbook("site.yml", *ONLY)
        assert https.host.run("sudo find /etc/flexcore/tls /usr/local/share/ca-certificates -type f").stdout == ""


def test_operators_and_the_scheduled_check_ask_by_https(https: Https) -> None:
    assert https.playbook("health.yml").exit_code == 0
    history = https.host.run("sudo tail -n 1 /var/lib/flexcore-health/history.jsonl").stdout
    checked = {row["service"]: row for row in json.loads(history)["services"]}["flexcore@lab1"]
    assert (checked["address"], checked["status"]) == (f"https://{https.host.address}:{PORT}", "HEALTHY")


def test_a_certificate_for_another_name_is_refused_and_that_is_said(https: Https) -> None:
    https.host.run(f"echo {https.host.address} another.test | sudo tee --append /etc/hosts")
    try:
        refused = https.health("another.test")
    finally:
        https.host.run("sudo sed --in-place '/ another.test$/d' /etc/hosts")
    assert refused.exit_code == 2
    (cause,) = [row["cause"] for row in json.loads(refused.output)["services"] if row["service"] == "flexcore"]
    assert "certificate" in cause


class Caller(threading.Thread):
    """Asks over one connection until it is told to stop."""

    def __init__(self, connection: http.client.HTTPSConnection) -> None:
        super().__init__(daemon=True)
        self.connection = connection
        self.stop = threading.Event()
        self.answers: list[int] = []

    def run(self) -> None:
        while not self.stop.wait(0.2):
            self.connection.request("GET", "/health")
            answer = self.connection.getresponse()
            answer.read()
            self.answers.append(answer.status)


def test_a_renewed_certificate_is_taken_without_a_restart_and_without_a_lost_connection(https: Https) -> None:
    pid, first = https.main_pid(), https.shown()
    https.renew()
    with https.connected() as connection:
        held, caller = connection.sock, Caller(connection)
        caller.start()
        try:
            done = https.playbook("site.yml", *ONLY)
        finally:
            caller.stop.set()
            caller.join(30)
        assert set(caller.answers) == {200}
        assert connection.sock is held
    assert https.main_pid() == pid
    assert https.shown() == ssl.PEM_cert_to_DER_cert(https.variables["flexcore_tls_certificate"]) != first
    assert [task for task in done.changed_tasks if "restarted" in task] == []
    assert https.playbook("site.yml", *ONLY).changed_tasks == []
    assert https.variables["flexcore_tls_key"] not in done.output + done.errors


def test_a_key_of_another_certificate_is_refused_before_it_is_in_place(https: Https) -> None:
    good, before = dict(https.variables), https.shown()
    https.renew()
    https.variables["flexcore_tls_key"] = good["flexcore_tls_key"]
    try:
        refused = https.playbook("site.yml", *ONLY, check=False)
    finally:
        https.variables = good
    assert refused.exit_code != 0
    assert "are no pair" in refused.output
    assert refused.count("changed") == 0
    assert https.shown() == before
