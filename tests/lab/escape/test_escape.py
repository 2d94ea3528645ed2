"""Hostile plugins on a real host, under the real units: each attempt fails, is on record, and harms nobody else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.deployments import Deployment
from tests.lab.escape import packages
from tests.lab.escape.attempts import AT_IMPORT, ATTEMPTS, BESIDE, EITHER, PROGRAM, Attempt, Control
from tests.lab.escape.packages import HONEST, HOSTILE_PACKAGES, HostilePackage, pattern_manifest
from tests.lab.escape.stage import API, Outcome, Stage, Watch, listening, watching
from tests.lab.hosts import eventually

REFUSED = (400, 409, 413, 415, 422)
LONGEST_LOG = 2000
# What timeout(1) ends with.
TIMED_OUT = 124
HOSTILE = ("escape", "escape-import", "escape-program", "escape-package", "escape-pattern", "escape-keeper")
# As /etc/flexcore has it, and systemd gives it to the server alone.
SECRET_FILE = "/etc/flexcore/credentials/plugins/escape-keeper_key"
SECRET = f"planted-for-another-{uuid.uuid4().hex}"
HELD_SECONDS = 10


@pytest.fixture(scope="module")
def stage(deployment: Deployment) -> Iterator[Stage]:
    """The host with the hostile plugins installed."""
    host = deployment.lab.hosts["lab1"]
    with listening(f"{deployment.lab.subnet}.1") as listener:
        stage = Stage(deployment, host, listener)
        for plugin_id in HOSTILE:
            stage.remove(plugin_id)
        stage.keep_secret(SECRET_FILE, SECRET)
        stage.install(packages.keeping_a_secret())
        stage.install(packages.hostile())
        stage.install(packages.program())
        stage.install(packages.importing([attempt.name for attempt in AT_IMPORT], stage.facts))
        yield stage
        for plugin_id in HOSTILE:
            stage.remove(plugin_id)
        host.run(f"sudo rm {SECRET_FILE}")
        stage.api.close()


@pytest.fixture(scope="module")
def watch_of_all(stage: Stage) -> Iterator[Watch]:
    """Health throughout. Its figure is printed and judged by nobody: the machine is shared."""
    with watching(stage.host.address) as watch:
        yield watch
    print(f"\nhealth_p95_ms={watch.p95:.1f} answers={len(watch.milliseconds)} during the escape attempts")  # noqa: T201


@pytest.fixture(autouse=True)
def healthy_throughout(watch_of_all: Watch) -> Iterator[None]:
    """Every answer of the server about its health, while an attempt was made, said that it is healthy."""
    asked, wrong = len(watch_of_all.milliseconds), len(watch_of_all.wrong)
    yield
    eventually("health was asked for", lambda: len(watch_of_all.milliseconds) > asked)
    assert watch_of_all.wrong[wrong:] == []


@pytest.fixture(scope="module")
def unconfined(stage: Stage) -> dict[tuple[Control, str], Any]:
    """How each probe went that somebody on the host can do, without a sandbox."""
    users: tuple[Control, ...] = ("root", "flexcore-sandbox")
    by_user = {user: [attempt.name for attempt in ATTEMPTS if attempt.control == user] for user in users}
    return {
        (user, name): outcome
        for user, names in by_user.items()
        for name, outcome in stage.unconfined(str(user), names).items()
    }


@pytest.fixture(scope="module")
def at_import(stage: Stage) -> dict[str, Any]:
    """How each probe went that the plugin ran while it was imported."""
    outcome = stage.execute("escape-import", "report")
    assert outcome.status == "completed", outcome.record
    found: dict[str, Any] = outcome.answer
    return found


def judge(stage: Stage, attempt: Attempt, outcome: Outcome) -> None:
    """An attempt failed if it got nothing, its execution ended as it should, and both are on record."""
    assert not outcome.escaped, f"{attempt.tries}: {outcome.escaped}"
    assert outcome.status in attempt.ends, f"{attempt.tries}: {outcome.record}"
    assert outcome.correlation_id in {record["correlation_id"] for record in stage.audited(action="executePlugin")}


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_an_attempt_fails(stage: Stage, attempt: Attempt) -> None:
    judge(stage, attempt, stage.execute("escape", name=attempt.name, host=stage.facts))


@pytest.mark.parametrize("attempt", PROGRAM, ids=lambda attempt: attempt.name)
def test_an_attempt_of_a_program_fails(stage: Stage, attempt: Attempt) -> None:
    judge(stage, attempt, stage.execute("escape-program", name=attempt.name, host=stage.facts))
    left = stage.host.run("pgrep --full --exact --list-full '.*bin/attack.*'", check=False).stdout
    assert left == ""


@pytest.mark.parametrize("attempt", AT_IMPORT, ids=lambda attempt: attempt.name)
def test_an_attempt_at_import_fails(at_import: dict[str, Any], attempt: Attempt) -> None:
    assert not at_import[attempt.name]["escaped"], f"{attempt.tries}: {at_import[attempt.name]}"


@pytest.mark.parametrize("attempt", BESIDE, ids=lambda attempt: attempt.name)
def test_an_attempt_on_a_sibling_fails(stage: Stage, attempt: Attempt) -> None:
    held = stage.begin("escape", name="hold", host=stage.facts)
    eventually("the sibling runs", lambda: stage.execution(held)["status"] == "running")
    judge(stage, attempt, stage.execute("escape", name=attempt.name, host=stage.facts))
    eventually("the sibling is done", lambda: stage.execution(held)["status"] == "completed")
    judge(stage, attempt, stage.execute("escape", name=attempt.name, host=stage.facts))


def test_a_secret_is_found_by_the_plugin_that_it_is_for_only(stage: Stage) -> None:
    held = stage.begin("escape-keeper", seconds=HELD_SECONDS)
    eventually("the secret is in the memory of its plugin", lambda: stage.execution(held)["status"] == "running")
    outcome = stage.execute("escape", name="find_secrets_of_other_plugins", host=stage.facts)
    assert stage.execution(held)["status"] == "running", "it ended before it was looked for"
    assert outcome.status == "completed", outcome.record
    assert not outcome.escaped
    eventually("its plugin had it", lambda: stage.execution(held)["status"] == "completed")
    # Once more, where its plugin has just been.
    assert not stage.execute("escape", name="find_secrets_of_other_plugins", host=stage.facts).escaped


def test_a_pattern_that_others_match_for_ever_is_matched_at_once(stage: Stage) -> None:
    """The attempt is the manifest's; the control is Python's own engine, which does not come to an end with it."""
    text, pattern = "a" * 40 + "!", "^(a+)+$"
    control = f'timeout 2 python3 -c \'import re; re.match("{pattern}", "{text}")\''
    assert stage.host.run(control, check=False).returncode == TIMED_OUT
    stage.install(packages.tar_gz({**HONEST, "flexcore-plugin.toml": pattern_manifest("escape-pattern", pattern)}))
    for length in (40, 50_000):
        body = {"operation": "attempt", "parameters": {"data": {"text": "a" * length + "!"}}}
        answer = stage.api.post(f"{API}/plugins/escape-pattern/execute", json=body, timeout=5)
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "attempt", [attempt for attempt in ATTEMPTS if attempt.control], ids=lambda attempt: attempt.name
)
def test_the_same_succeeds_without_a_sandbox(unconfined: dict[Any, Any], attempt: Attempt) -> None:
    outcome = unconfined[attempt.control, attempt.name]
    assert outcome.get("escaped"), f"the probe proves nothing: {outcome}"


@pytest.mark.parametrize("package", HOSTILE_PACKAGES, ids=lambda package: package.name)
def test_a_hostile_package_is_refused(stage: Stage, package: HostilePackage) -> None:
    answer = stage.send(package.make(), package.file)
    assert answer.status_code in REFUSED, f"{package.tries}: {answer.status_code} {answer.text}"
    assert "Traceback" not in answer.text
    if package.witness:
        assert stage.host.run(f"sudo test -e {package.witness}", check=False).returncode == 1


def test_an_answer_after_the_cancellation_counts_for_nothing(stage: Stage) -> None:
    late = stage.begin("escape-program", name="answer_late", host=stage.facts)
    eventually("it runs", lambda: stage.execution(late)["status"] == "running")
    cancelled = stage.api.post(f"{API}/executions/{late}/cancel")
    assert cancelled.status_code in (200, 202), cancelled.text
    eventually("it is over", lambda: stage.execution(late)["status"] not in ("queued", "running"))
    assert stage.execution(late)["status"] == "cancelled"
    assert "answered after" not in json.dumps(stage.execution(late))
    eventually("its process is gone", lambda: not stage.host.run("pgrep -f bin/attack", check=False).stdout.strip())


def test_logs_of_a_plugin_stay_bounded_and_its_own(stage: Stage) -> None:
    for name in ("log_without_end", "write_errors_without_end", "forge_log_lines"):
        stage.execute("escape-program", name=name, host=stage.facts)
    answer = stage.api.get(f"{API}/plugins/escape-program/logs", params={"lines": 1000})
    assert answer.status_code == 200, answer.text
    assert not [record for record in answer.json()["logs"] if record["message"] == "forged"]
    lines = int(stage.host.run("sudo journalctl -u flexcore.service -o cat --since -20s | wc -l").stdout)
    assert lines < 3 * LONGEST_LOG


def test_the_server_keeps_no_descriptor_that_it_is_handed(stage: Stage) -> None:
    count = "sudo ls /proc/$(systemctl show -P MainPID flexcore.service)/fd | wc -l"
    before = int(stage.host.run(count).stdout)
    for _ in range(3):
        stage.execute("escape-program", name="hand_over_descriptors", host=stage.facts)
    assert int(stage.host.run(count).stdout) < before + 50


def test_refused_system_calls_and_connections_are_on_record(stage: Stage) -> None:
    for name in ("be_traced", "make_user_namespace", "mount_a_file_system", "connect_by_way_of_the_server"):
        stage.execute("escape", name=name, host=stage.facts)
    stage.execute("escape-program", name="connect_where_it_may_not", host=stage.facts)
    stage.execute("escape-program", name="record_what_it_may_not", host=stage.facts)

    def on_record() -> bool:
        told = json.dumps(stage.audited(actor="plugin:escape") + stage.audited(actor="plugin:escape-program"))
        return all(word in told for word in ("ptrace", "unshare", "mount", "5432", "PluginRemoved"))

    eventually("refusals are in the audit trail", on_record)


def test_nothing_is_left_on_the_host(stage: Stage) -> None:
    for name in ("write_where_others_look", "outlive_the_execution"):
        stage.execute("escape", name=name, host=stage.facts)
    marked = f"sudo find /tmp /var/tmp /dev/shm /run /dev/mqueue -name 'flexcore-escape-{stage.facts['run']}'"
    assert stage.host.run(marked).stdout == ""


def test_the_sandbox_works_after_all_of_it(stage: Stage) -> None:
    for name in ("crash", "bomb_with_memory", "kill_its_group", "refuse_to_end"):
        assert stage.execute("escape", name=name, host=stage.facts).status in EITHER
    body = {"operation": "echo", "parameters": {"data": {}}}
    answer = stage.api.post(f"{API}/plugins/simple-processor/execute", json=body)
    assert answer.status_code == 200, answer.text
