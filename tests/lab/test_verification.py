"""The verification suite on a real host: it fails for what is broken, names it, and leaves no trace."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.deployments import Deployment
from tests.lab.hosts import LabHost, eventually
from tests.lab.playbooks import ROOT


def psql(statement: str, database: str = "postgres") -> str:
    """A shell command that runs one statement as PostgreSQL's superuser."""
    return f"sudo -u postgres psql --quiet --no-align --tuples-only --command '{statement}' {database}"


def redis(command: str) -> str:
    """A shell command that runs one command as Redis' administrator. sudo logs its arguments, hence standard input."""
    login = "AUTH admin {redis_admin}"
    return f"printf '%s\\n' '{login}' '{command}' | sudo redis-cli -e -s /run/redis/redis-server.sock"


@dataclass(frozen=True)
class Fault:
    """How a part is broken, how it is mended, and the checks that have to say so."""

    command: str
    remedy: str
    checks: tuple[str, ...]


FAULTS = (
    Fault(
        psql("ALTER SYSTEM SET fsync = off") + " && sudo systemctl reload postgresql",
        psql("ALTER SYSTEM RESET fsync") + " && sudo systemctl reload postgresql",
        ("test_data_is_protected[lab1-fsync]",),
    ),
    Fault(
        psql("ALTER ROLE flexcore CREATEDB"),
        psql("ALTER ROLE flexcore NOCREATEDB"),
        ("test_roles_have_no_privilege_beyond_their_login[lab1]",),
    ),
    Fault(
        psql("GRANT DELETE ON events TO flexcore", "flexcore"),
        psql("REVOKE DELETE ON events FROM flexcore", "flexcore"),
        ("test_the_server_may_append_events_and_never_change_them[lab1]",),
    ),
    Fault(
        psql("GRANT UPDATE (token) ON leadership TO flexcore", "flexcore"),
        psql("REVOKE UPDATE (token) ON leadership FROM flexcore", "flexcore"),
        ("test_the_server_may_do_its_work_in_the_other_tables_and_no_more[lab1]",),
    ),
    Fault(
        psql("GRANT CREATE ON SCHEMA public TO flexcore", "flexcore"),
        psql("REVOKE CREATE ON SCHEMA public FROM flexcore", "flexcore"),
        ("test_the_server_has_no_other_way_to_an_owners_rights[lab1]",),
    ),
    Fault(
        psql("ALTER TABLE events DISABLE TRIGGER events_are_append_only", "flexcore"),
        psql("ALTER TABLE events ENABLE TRIGGER events_are_append_only", "flexcore"),
        ("test_events_are_guarded_against_their_owner_too[lab1]",),
    ),
    # By a superuser, who can pass by the guard: one blank more at the end of an event's metadata.
    Fault(
        psql("SET session_replication_role = replica; UPDATE events SET metadata = metadata || $$ $$", "flexcore"),
        psql("SET session_replication_role = replica; UPDATE events SET metadata = rtrim(metadata)", "flexcore"),
        ("test_the_log_is_what_was_recorded[lab1]",),
    ),
    Fault(
        "sudo chmod 0640 /var/lib/flexcore/checkpoint_key.pem",
        "sudo chmod 0600 /var/lib/flexcore/checkpoint_key.pem",
        ("test_what_signs_the_log_is_the_servers_alone[lab1]",),
    ),
    Fault(
        redis("CONFIG SET maxmemory-policy allkeys-lru"),
        redis("CONFIG SET maxmemory-policy noeviction"),
        ("test_a_full_memory_refuses_writes_and_evicts_nothing[lab1]",),
    ),
    Fault(
        redis("ACL SETUSER flexcore ~*"),
        redis("ACL SETUSER flexcore resetkeys ~flexcore:*"),
        (
            "test_redis_refuses_its_acl_user_what_is_not_flexcores[lab1-GET verify]",
            "test_users_are_the_inventorys[lab1]",
            "test_applications_may_do_nothing_dangerous[lab1]",
        ),
    ),
    Fault(
        "sudo systemctl disable flexcore",
        "sudo systemctl enable flexcore",
        ("test_runs_and_starts_with_the_host[lab1]",),
    ),
    Fault(
        "sudo chmod 0644 /etc/flexcore/credentials/redis_password",
        "sudo chmod 0600 /etc/flexcore/credentials/redis_password",
        ("test_credentials_are_readable_by_root_only[lab1]",),
    ),
    Fault(
        "sudo systemctl disable flexcore-health.timer",
        "sudo systemctl enable flexcore-health.timer",
        ("test_the_timer_runs_and_starts_with_the_host[lab1]",),
    ),
    Fault(
        "echo {api_token} | sudo tee /etc/left-behind",
        "sudo rm /etc/left-behind",
        ("test_secrets_stand_only_where_they_belong[lab1]",),
    ),
)


def verify(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "tests/infra",
            "--inventory",
            deployment.lab.inventory,
            "-q",
            "-rfE",
            *arguments,
        ],
        cwd=ROOT,
        env=deployment.lab.variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(autouse=True)
def _checked_lately(deployment: Deployment) -> None:
    """Let the last scheduled check be one of a healthy host, not one that came while another test broke it."""
    host = deployment.lab.hosts["lab1"]
    # What the check finds is no failure of its unit, but stands in its history.
    check = (
        "sudo systemctl start flexcore-health.service && "
        "sudo tail -n 1 /var/lib/flexcore-health/history.jsonl | grep --quiet '\"healthy\": *true'"
    )
    eventually("a healthy scheduled check", lambda: host.run(check, check=False).returncode == 0)


@pytest.fixture
def broken(deployment: Deployment) -> Iterator[Deployment]:
    """The host with everything broken at once, so that one run of the suite judges all of it."""
    host = deployment.lab.hosts["lab1"]
    try:
        for fault in FAULTS:
            host.run(fault.command.format(**deployment.secrets))
        yield deployment
    finally:
        for fault in FAULTS:
            host.run(fault.remedy.format(**deployment.secrets))


def test_what_is_broken_fails_and_nothing_else(broken: Deployment) -> None:
    verified = verify(broken)
    assert failures(verified) == {check for fault in FAULTS for check in fault.checks}
    shown = [name for name, value in broken.secrets.items() if value in verified.stdout + verified.stderr]
    assert not shown


# What there is to say of plugins is then said by nobody.
WITHOUT_SANDBOX = {
    "test_the_sandbox_runs_with_the_server[lab1]",
    "test_the_sandbox_has_a_user_of_its_own_and_no_privilege[lab1]",
    "test_the_sandbox_has_no_network_and_no_credential[lab1]",
    "test_only_the_server_reaches_the_sandbox[lab1]",
    "test_what_runs_plugins_can_read_their_code_and_write_none[lab1]",
    "test_what_runs_plugins_reads_nothing_of_the_servers[lab1]",
    "test_the_host_enforces_what_the_inventory_asks_for[lab1]",
    "test_health[lab1]",
    "test_every_component_is_healthy[lab1]",
    "test_is_alive_and_ready[lab1]",
}


def test_a_sandbox_that_does_not_run_is_noticed(deployment: Deployment) -> None:
    host = deployment.lab.hosts["lab1"]
    host.run("sudo systemctl stop flexcore-sandbox")
    try:
        verified = verify(deployment, "-k", "test_flexcore_sandbox or test_flexcore_http")
    finally:
        host.run("sudo systemctl start flexcore-sandbox")
    assert failures(verified) == WITHOUT_SANDBOX


def failures(verified: subprocess.CompletedProcess[str]) -> set[str]:
    """The checks that a run of the suite says to have failed; it must say so by its exit status as well."""
    assert verified.returncode == 1, verified.stdout + verified.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) \S+::(test_.*?\])(?: - |$)", verified.stdout, re.MULTILINE))


def test_verification_leaves_no_trace(deployment: Deployment) -> None:
    host = deployment.lab.hosts["lab1"]
    before = traces(host, deployment.secrets)
    verified = verify(deployment)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert traces(host, deployment.secrets) == before


# A node writes when it lives, its heartbeat as a worker, and when it refuses somebody, as a verification has it do.
WRITES = (
    "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables "
    "WHERE relname NOT IN ($$procrastinate_workers$$, $$audit$$)"
)
DONE = "SELECT count(*) FROM audit WHERE outcome <> $$refused$$"


def traces(host: LabHost, secrets: dict[str, str]) -> list[str]:
    """What a check could leave: changed files, events, rows of any table, keys."""
    return [
        host.run(command.format(**secrets)).stdout
        for command in (
            "sudo find /etc /opt/flexcore -type f -exec sha256sum {{}} + | sort | sha256sum",
            psql("SELECT count(*) FROM events", "flexcore"),
            psql(WRITES, "flexcore"),
            psql(DONE, "flexcore"),
            redis("DBSIZE"),
        )
    ]
