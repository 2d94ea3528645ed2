"""The modules and their playbooks on real hosts, over ssh as `deploy`, with sudo and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.deployments import Deployment
from tests.lab.hosts import LabHost
from tests.lab.playbooks import PlaybookRun

STEPS = [
    {"id": "turn", "plugin": "simple-processor", "operation": "reverse", "parameters": {"text": "a b"}},
    {
        "id": "again",
        "plugin": "simple-processor",
        "operation": "reverse",
        "depends_on": ["turn"],
        "parameters": {"text": {"$from": "steps.turn.text"}},
        "retry": {"max_attempts": 5},
    },
]
CANARIES = {name: f"canary-{name}-7f3a9c51d2" for name in ("token", "password", "nested", "parameter")}
DECLARED = {"name": "look", "owner": "docs", "steps": STEPS}
DECLARED_PLUGINS = [{"id": "simple-processor", "state": "disabled"}, {"id": "json-processor", "state": "enabled"}]
# What a caller writes who knows nothing of FlexCore's environment: the modules run under the host's own Python.
PLAY = """
- hosts: flexcore
  gather_facts: false
  become: {become}
  vars_files: [{vars}]
  tasks:
    - name: Look
      flexcore_info: {{url: "{{{{ server_url }}}}", token: "{{{{ server_token }}}}"}}
      vars:
        ansible_python_interpreter: {python}
      register: server
    - name: Show
      ansible.builtin.debug:
        msg: "{{{{ server.dialect }}}} {{{{ server.node_id }}}}"
"""


def play(deployment: Deployment, directory: Path, *arguments: str, check: bool = True, **form: Any) -> PlaybookRun:
    """Run PLAY from beside the project's playbooks."""
    file = directory / "look.yml"
    file.write_text(PLAY.format(vars=Path("playbooks/vars/server.yml").resolve(), **form))
    return deployment.lab.playbook(str(file.resolve()), *arguments, check=check)


def nodes(deployment: Deployment) -> dict[str, LabHost]:
    """The hosts that run FlexCore; the one with the data does not."""
    return {name: host for name, host in deployment.lab.hosts.items() if name.startswith("core")}


@pytest.mark.parametrize("become", ["true", "false"])
@pytest.mark.parametrize("python", ["/usr/bin/python3", "/opt/flexcore/current/bin/python"])
def test_a_module_runs_with_sudo_and_without_under_either_python(
    deployment: Deployment, tmp_path: Path, become: str, python: str
) -> None:
    run = play(deployment, tmp_path, become=become, python=python)
    assert "flexcore-v1" in run.output


@pytest.mark.parametrize("become", [True, False])
def test_secrets_of_modules_that_fail_are_nowhere_on_the_host(
    deployment: Deployment, tmp_path: Path, become: bool
) -> None:
    nested = {"deep": [{"api_key": CANARIES["nested"]}]}
    event = {"type": "Happened", "aggregate_type": "Test", "aggregate_id": "x", "data": nested}
    with_token = {"url": "{{ server_url }}", "token": CANARIES["token"], "retries": 0}
    with_login = {**with_token, "token": "{{ omit }}", "username": "nobody", "password": CANARIES["password"]}
    secret = {"id": "simple-processor", "data": nested, "secret_data": {"pin": CANARIES["parameter"]}}
    tasks: list[dict[str, Any]] = [
        {"flexcore_event": {**with_token, **event}},
        {"flexcore_event": {**with_login, **event}},
        {"flexcore_event": {**with_token, "data": nested}},
        {"flexcore_plugin_execute": {**with_token, **secret, "url": "http://127.0.0.1:1"}},
        {"flexcore_health": {"url": f"http://me:{CANARIES['password']}@127.0.0.1:8080", "token": CANARIES["token"]}},
    ]
    for number, task in enumerate(tasks):
        task.update({"name": f"Fail {number}", "ignore_errors": True})
    variables = str(Path("playbooks/vars/server.yml").resolve())
    head = {"hosts": "flexcore", "gather_facts": False, "become": become, "vars_files": [variables]}
    file = tmp_path / "fail.json"
    file.write_text(json.dumps([{**head, "tasks": tasks}]))
    run = deployment.lab.playbook(str(file), "-vvvv", "--diff")
    assert run.count("ignored") == len(tasks) * len(deployment.lab.hosts)
    found = [run.output, run.errors]
    for host in deployment.lab.hosts.values():
        journal = host.run("sudo journalctl --since=-15min --no-pager").stdout
        assert "ansible-flexcore_event" in journal, "there is a log in which secrets could be"
        # The command itself gets into the journal.
        left = host.run("sudo grep -rlE 'canar[y]-' /tmp /var/tmp ~root/.ansible /home/*/.ansible", check=False)
        found += [journal, left.stdout]
        assert left.stdout == ""
    assert [name for name, canary in CANARIES.items() if canary in "".join(found)] == []


def test_declared_plugins_are_planned_brought_about_and_left_alone(deployment: Deployment) -> None:
    variables = json.dumps({"declared_plugins": DECLARED_PLUGINS})
    foretold = deployment.lab.playbook("plugins.yml", "--check", "-e", variables)
    first = deployment.lab.playbook("plugins.yml", "-e", variables)
    second = deployment.lab.playbook("plugins.yml", "-e", variables)
    assert foretold.changed_tasks == first.changed_tasks
    assert first.count("changed") == 1
    assert second.changed_tasks == []
    back = json.dumps({"declared_plugins": [{"id": "simple-processor", "state": "enabled"}]})
    assert deployment.lab.playbook("plugins.yml", "-e", back).count("changed") == 1


def test_declared_pipelines_are_planned_brought_about_and_left_alone(deployment: Deployment) -> None:
    variables = json.dumps({"declared_pipelines": [DECLARED]})
    foretold = deployment.lab.playbook("pipelines.yml", "--check", "-e", variables)
    first = deployment.lab.playbook("pipelines.yml", "-e", variables)
    assert foretold.changed_tasks == first.changed_tasks
    assert deployment.lab.playbook("pipelines.yml", "-e", variables).changed_tasks == []
    gone = json.dumps({"declared_pipelines": [{"name": DECLARED["name"], "state": "absent"}]})
    assert deployment.lab.playbook("pipelines.yml", "-e", gone).count("changed") == 1


def test_a_restart_of_the_cluster_goes_node_by_node_and_every_node_works_again(cluster_deployment: Deployment) -> None:
    lab = cluster_deployment.lab
    before = {
        name: host.run("systemctl show -P MainPID flexcore").stdout for name, host in nodes(cluster_deployment).items()
    }
    run = lab.playbook("service.yml", "-e", "verb=restart", "-e", "drain=true")
    order = [line.partition("[")[2] for line in run.changed_tasks if line.startswith("Have the service")]
    assert len(order) == len(set(order)) == len(before)
    after = {
        name: host.run("systemctl show -P MainPID flexcore").stdout for name, host in nodes(cluster_deployment).items()
    }
    assert all(before[name] != after[name] for name in before)
    assert lab.playbook("health.yml").exit_code == 0


def test_a_restart_ends_at_the_first_node_that_does_not_become_healthy(cluster_deployment: Deployment) -> None:
    lab = cluster_deployment.lab
    first, *others = nodes(cluster_deployment).values()
    pids = [host.run("systemctl show -P MainPID flexcore").stdout for host in others]
    first.run("sudo mkdir -p /run/systemd/system/flexcore.service.d")
    first.run(
        "printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep infinity\\nType=exec\\n' "
        "| sudo tee /run/systemd/system/flexcore.service.d/broken.conf && sudo systemctl daemon-reload"
    )
    try:
        run = lab.playbook("service.yml", "-e", "verb=restart", "-e", "wait_seconds=5", check=False)
        assert run.exit_code != 0
        assert [host.run("systemctl show -P MainPID flexcore").stdout for host in others] == pids
    finally:
        first.run("sudo rm /run/systemd/system/flexcore.service.d/broken.conf && sudo systemctl daemon-reload")
        lab.playbook("service.yml", "-e", "verb=restart", "--limit", first.name)


def test_logs_of_all_nodes_are_in_one_file_newest_last(cluster_deployment: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "all.log"
    cluster_deployment.lab.playbook("logs.yml", "-e", f"file={file}", "-e", "lines=300")
    lines = file.read_text().splitlines()
    times = [line.split()[0] for line in lines]
    assert times == sorted(times)
    assert all(any(name in line for line in lines) for name in nodes(cluster_deployment))
