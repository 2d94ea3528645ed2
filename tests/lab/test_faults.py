"""What an operator sees when a service dies or hangs: the culprit within five seconds, and the recovery as soon."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.lab.deployments import Deployment
from tests.lab.hosts import Lab, LabHost, eventually
from tests.lab.playbooks import ROOT

NOTICED_SECONDS = 5


@dataclass(frozen=True)
class Victim:
    """A unit, the service that is ill when it is away, and what else suffers; each of these names the cause."""

    service: str
    unit: str
    suffers: frozenset[str]
    cause: str

    def dies(self, host: LabHost) -> None:
        """End it, and keep systemd from bringing it back at once."""
        host.run(f"sudo systemctl kill --signal=KILL {self.unit}; sudo systemctl stop {self.unit}")

    def hangs(self, host: LabHost) -> None:
        """Stop all of its processes in mid-air."""
        host.run(f"sudo systemctl kill --signal=STOP {self.unit}")

    def returns(self, host: LabHost) -> None:
        """Undo both."""
        host.run(f"sudo systemctl kill --signal=CONT {self.unit}; sudo systemctl start {self.unit}")


VICTIMS = [
    Victim("postgresql", "postgresql@15-main.service", frozenset({"flexcore"}), "postgresql"),
    Victim("redis", "redis-server.service", frozenset({"flexcore"}), "redis"),
    Victim("flexcore", "flexcore.service", frozenset(), ""),
    Victim("flexcore", "flexcore-sandbox.service", frozenset({"flexcore"}), "plugin_runtime"),
]


def health(lab: Lab) -> tuple[int, list[Mapping[str, str]]]:
    """Run `make health`: its exit code and the rows of its report."""
    done = subprocess.run(
        ["make", "--silent", "health", "FORMAT=json", f"INVENTORY={lab.inventory}"],
        cwd=ROOT,
        env=lab.variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)["services"]


def not_healthy(lab: Lab) -> dict[str, Mapping[str, str]]:
    """The rows of what is not healthy; the exit code must agree with them."""
    code, rows = health(lab)
    ill = {row["service"]: row for row in rows if row["status"] != "HEALTHY"}
    assert code == (2 if ill else 0)
    return ill


def wait_until_ill(lab: Lab, expected: set[str]) -> dict[str, Mapping[str, str]]:
    """Ask until exactly the expected services are ill; an answer asked for after five seconds is too late."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while True:
        in_time = time.monotonic() < deadline
        ill = not_healthy(lab)
        if set(ill) == expected:
            return ill
        assert in_time, f"expected {sorted(expected)} to be ill after {NOTICED_SECONDS} s, found {ill}"


@pytest.mark.parametrize("how", ["dies", "hangs"])
@pytest.mark.parametrize("victim", VICTIMS, ids=lambda victim: victim.unit.partition(".")[0])
def test_health_names_the_culprit_and_sees_the_recovery(deployment: Deployment, victim: Victim, how: str) -> None:
    host = deployment.lab.hosts["lab1"]
    wait_until_ill(deployment.lab, set())
    try:
        getattr(victim, how)(host)
        ill = wait_until_ill(deployment.lab, {victim.service} | victim.suffers)
        for sufferer in victim.suffers:
            assert victim.cause in ill[sufferer]["cause"]
    finally:
        victim.returns(host)
    wait_until_ill(deployment.lab, set())


def test_a_power_cut_loses_no_event_and_needs_no_hand(deployment: Deployment) -> None:
    host = deployment.lab.hosts["lab1"]
    count = "sudo -u postgres psql --no-align --tuples-only --command 'SELECT max(position) FROM events' flexcore"
    before = int(host.run(count).stdout)
    host.kill()
    host.start()
    eventually("all services are healthy again", lambda: not_healthy(deployment.lab) == {}, 60)
    assert int(host.run(count).stdout) >= before
    assert "verified: " in host.run("sudo flexcore events verify").stdout


def test_a_host_that_is_cut_off_is_a_row_of_the_report(cluster_deployment: Deployment) -> None:
    lab = cluster_deployment.lab
    lab.hosts["core2"].cut()
    try:
        code, rows = health(lab)
    finally:
        lab.hosts["core2"].join()
    by_host = {row["host"]: row for row in rows}
    assert code == 2
    assert by_host["core2"]["status"] != "HEALTHY"
    assert by_host["core1"]["status"] == "HEALTHY"
