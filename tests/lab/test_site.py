"""The main playbook on real hosts: foretold truly, deployed, idempotent, verified, and refusing what is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.lab.deployments import Deployment
from tests.lab.playbooks import ANSIBLE_PLAYBOOK, ROOT


@pytest.fixture(params=["deployment", "cluster_deployment"], ids=["one host", "cluster"])
def deployed(request: pytest.FixtureRequest) -> Deployment:
    """Each of the two shapes of a deployment."""
    deployment: Deployment = request.getfixturevalue(request.param)
    return deployment


def test_a_dry_run_on_fresh_hosts_fails_nowhere(deployed: Deployment) -> None:
    assert deployed.foretold.exit_code == 0, deployed.foretold.output
    assert deployed.foretold.count("changed") > 0


def test_a_dry_run_foretells_the_tasks_of_the_real_run(deployed: Deployment) -> None:
    assert set(deployed.first.changed_tasks) <= set(deployed.foretold.changed_tasks)


def test_a_second_run_changes_nothing(deployed: Deployment) -> None:
    assert deployed.second.changed_tasks == []
    assert deployed.second.count("changed") == 0


def test_no_run_shows_a_secret(deployed: Deployment) -> None:
    assert deployed.secrets
    for run in (deployed.foretold, deployed.first, deployed.second):
        shown = [name for name, value in deployed.secrets.items() if value in run.output + run.errors]
        assert not shown


def test_the_hosts_pass_the_verification(deployed: Deployment) -> None:
    command = [sys.executable, "-m", "pytest", "tests/infra", "--inventory", deployed.lab.inventory, "-q"]
    verified = subprocess.run(
        command, cwd=ROOT, env=deployed.lab.variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("redis_prot=6379", "redis_prot (did you mean redis_port?)"),
        ("postgresql_port=70000", "postgresql_port (70000)"),
        ("health_schedule_interval_seconds=1", "health_schedule_interval_seconds (1)"),
        ('{"flexcore_lab": false, "postgresql_roles": [{"name": "flexcore", "password": "short"}]}', "password"),
    ],
)
def test_a_wrong_variable_is_refused_before_anything_changes(deployment: Deployment, setting: str, said: str) -> None:
    run = deployment.lab.playbook("site.yml", "-e", setting, check=False)
    assert run.exit_code != 0
    assert run.count("changed") == 0
    assert said in run.output
    assert "Traceback" not in run.output + run.errors


def test_a_dry_run_foretells_a_changed_setting(deployment: Deployment) -> None:
    setting = ("-e", '{"postgresql_settings": {"work_mem": "5MB"}}')
    try:
        foretold = deployment.lab.playbook("site.yml", "--check", *setting)
        done = deployment.lab.playbook("site.yml", *setting)
        assert done.changed_tasks
        assert done.changed_tasks == foretold.changed_tasks
        shown = deployment.lab.hosts["lab1"].run("sudo -u postgres psql -Atc 'SHOW work_mem'").stdout
        assert shown.strip() == "5MB"
    finally:
        deployment.lab.playbook("site.yml")


def test_an_interrupted_run_is_taken_up_by_the_next(deployment: Deployment) -> None:
    setting = ("-e", '{"postgresql_settings": {"work_mem": "6MB"}}')
    process = subprocess.Popen(
        [ANSIBLE_PLAYBOOK, "-i", deployment.lab.inventory, "playbooks/site.yml", *setting],
        cwd=ROOT,
        env=deployment.lab.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        # The file is written and the server does not know of it yet.
        assert any("TASK [postgresql : Write and check" in line or "Write who may" in line for line in process.stdout)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        deployment.lab.playbook("site.yml", *setting)
        shown = deployment.lab.hosts["lab1"].run("sudo -u postgres psql -Atc 'SHOW work_mem'").stdout
        assert shown.strip() == "6MB"
    finally:
        deployment.lab.playbook("site.yml")
    assert deployment.lab.playbook("site.yml").count("changed") == 0
