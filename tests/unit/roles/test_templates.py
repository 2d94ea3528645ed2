"""What the roles write, judged by what reads it: FlexCore's settings, the timer's calendar, the rules of access."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flexcore.configuration import load
from flext_cli.targets import read_targets_file
from tests.unit.roles.rendering import Role

SECRETS = {
    "flexcore_api_token": "token-token-token-token-1",
    "flexcore_postgresql_password": "runtime-runtime-1",
    "flexcore_postgresql_owner_password": "owner-owner-owner-1",
    "flexcore_redis_password": "redis-redis-redis-1",
}


TLS = {
    "flexcore_tls_certificate": "-----BEGIN CERTIFICATE-----\n",
    "flexcore_tls_key": "-----BEGIN PRIVATE KEY-----\n",
}


def flexcore(**variables: Any) -> Role:
    version = {"_flexcore_version": {"stdout": "0.1.0+abcd"}}
    return Role("flexcore", role_name="flexcore", **version, **SECRETS, **variables)


def postgresql(**variables: Any) -> Role:
    return Role("postgresql", **variables)


def redis(**variables: Any) -> Role:
    return Role("redis", redis_admin_password="admin-admin-admin-1", **variables)


def health_schedule(**variables: Any) -> Role:
    return Role("health_schedule", **variables)


# FlexCore


def test_flexcore_takes_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    role = flexcore(
        flexcore_services={"flext-auth": "http://192.0.2.9:8082"},
        flexcore_http_port="8090",
        flexcore_cluster_name="north: 1",
        flexcore_job_concurrency="4",
    )
    file.write_text(role.text("config.yaml.j2"))
    settings = load(file, {}, required=()).settings
    assert settings.environment == "production"
    assert (settings.node_id, settings.http.port) == ("host1", 8090)
    assert settings.services == {"flext-auth": "http://192.0.2.9:8082"}
    assert (settings.cluster.name, settings.jobs.concurrency) == ("north: 1", 4)
    assert (settings.postgres.user, settings.postgres.owner_user) == ("flexcore", "flexcore_owner")


def test_flexcore_takes_the_configuration_of_https(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(flexcore(**TLS).text("config.yaml.j2"))
    http = load(file, {}, required=()).settings.http
    assert http.tls_cert_file == http.tls_key_file == "/etc/flexcore/tls/server.pem"
    assert "LoadCredential=admin_password" not in flexcore().text("flexcore.service.j2")
    with_admin = flexcore(flexcore_admin_password="admin-admin-admin").text("flexcore.service.j2")
    assert "LoadCredential=admin_password:/etc/flexcore/credentials/admin_password\n" in with_admin


def test_flexcore_takes_the_configuration_of_plugins(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    role = flexcore(
        flexcore_plugin_network={"postgres-processor": ["db.example.org:5432"]},
        flexcore_plugin_signature_required=True,
        flexcore_marketplace_source="https://plugins.example.org/index",
        flexcore_marketplace_keys={"release": f"{'A' * 43}="},
    )
    file.write_text(role.text("config.yaml.j2"))
    settings = load(file, {}, required=()).settings
    assert (settings.sandbox.mode, settings.sandbox.socket) == ("strict", "/run/flexcore-sandbox/supervisor.sock")
    assert settings.sandbox.network == {"postgres-processor": ["db.example.org:5432"]}
    assert (settings.plugins.directory, settings.plugins.require_signature) == ("/var/lib/flexcore-plugins", True)
    assert settings.marketplace.source == "https://plugins.example.org/index"
    assert settings.marketplace.trusted_keys == {"release": f"{'A' * 43}="}
    assert not settings.marketplace.allow_unsigned


def test_credentials_are_those_that_are_set_and_each_plugins_own() -> None:
    secrets = [
        {"plugin": "greeter", "name": "api_key", "value": "secret-1"},
        {"plugin": "loader", "name": "password", "value": "secret-2"},
    ]
    credentials = flexcore(flexcore_plugin_secrets=secrets).value("_flexcore_credentials")
    assert credentials == {
        "api_token": SECRETS["flexcore_api_token"],
        "postgres_password": SECRETS["flexcore_postgresql_password"],
        "postgres_owner_password": SECRETS["flexcore_postgresql_owner_password"],
        "redis_password": SECRETS["flexcore_redis_password"],
        "plugins/greeter_api_key": "secret-1",
        "plugins/loader_password": "secret-2",
    }


def test_what_https_needed_goes_when_it_is_over() -> None:
    pair, authority = "/etc/flexcore/tls/server.pem", "/usr/local/share/ca-certificates/flexcore.crt"
    state = {"stdout_lines": ["installed", f"tls {pair}", f"tls {authority}"]}
    assert flexcore(_flexcore_state=state).value("_flexcore_stale_tls_files") == [pair, authority]
    assert flexcore(_flexcore_state=state, **TLS).value("_flexcore_stale_tls_files") == [authority]


def test_readiness_is_asked_with_the_token_and_for_the_certificate_that_was_deployed() -> None:
    *program, url, token, pair = flexcore(**TLS).value("_flexcore_is_ready")
    assert program[:2] == ["python3", "-c"]
    assert (url, token, pair) == (
        "https://127.0.0.1:8080",
        "/etc/flexcore/credentials/api_token",
        "/etc/flexcore/tls/server.pem",
    )
    assert flexcore().value("_flexcore_is_ready")[3:] == ["http://127.0.0.1:8080", token]


def test_what_is_no_credential_any_more_goes() -> None:
    state = {"stdout_lines": ["file api_token", "file tls_key", "file plugins/greeter_api_key"]}
    stale = flexcore(_flexcore_state=state).value("_flexcore_stale_credentials")
    assert stale == ["plugins/greeter_api_key", "tls_key"]


def test_flexcores_own_services_hold_without_others(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(flexcore().text("config.yaml.j2"))
    assert "flext-service" in load(file, {}, required=()).settings.services


@pytest.mark.parametrize(
    "template",
    [
        "config.yaml.j2",
        "flexcore.service.j2",
        "flexcore-sandbox.service.j2",
        "flexcore-migrate.service.j2",
        "command.sh.j2",
    ],
)
def test_no_file_of_flexcore_but_a_credential_holds_a_secret(template: str) -> None:
    text = flexcore().text(template)
    assert not [name for name, value in SECRETS.items() if value in text]


def test_each_unit_gets_the_credentials_it_needs_and_no_other() -> None:
    assert credentials("flexcore.service.j2") == {"api_token", "postgres_password", "redis_password"}
    assert "LoadCredential=plugin_secret:/etc/flexcore/credentials/plugins\n" in flexcore().text("flexcore.service.j2")
    assert credentials("flexcore-migrate.service.j2") == {"postgres_owner_password"}
    assert "Credential" not in flexcore().text("flexcore-sandbox.service.j2")


def credentials(template: str) -> set[str]:
    return set(re.findall(r"^LoadCredential=(\w+):/etc/flexcore/credentials/\1$", flexcore().text(template), re.M))


def test_the_operators_command_runs_as_the_server_does_with_one_credential() -> None:
    unit, words = flexcore().text("flexcore.service.j2"), shlex.split(flexcore().text("command.sh.j2"), comments=True)
    properties = [word.removeprefix("--property=") for word in words if word.startswith("--property=")]
    *confined, loaded = sorted(properties, key=lambda line: line.startswith("LoadCredential="))
    assert loaded == "LoadCredential=postgres_password:/etc/flexcore/credentials/postgres_password"
    assert {"User=flexcore", "StateDirectory=flexcore", "NoNewPrivileges=yes"} <= set(confined)
    assert set(confined) <= set(unit.splitlines())
    assert flexcore().text("confinement.j2").split("\n")[1:-1] == [line for line in confined if "State" not in line]
    assert words[-3:] == ["--", "/opt/flexcore/current/bin/flexcore", "$@"]


@pytest.mark.parametrize(("argument", "program"), [("plugin", "flexcore"), ("events", "systemd-run")])
def test_the_operators_command_builds_packages_from_the_callers_files(
    tmp_path: Path, argument: str, program: str
) -> None:
    release = tmp_path / "flexcore"
    text = flexcore().text("command.sh.j2").replace("/opt/flexcore/current/bin/flexcore", str(release))
    for name in ("flexcore", "systemd-run"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name}\n")
        (tmp_path / name).chmod(0o755)
    said = subprocess.check_output(["sh", "-c", text, "sh", argument], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert said.decode() == f"{program}\n"


def test_systemd_waits_longer_than_the_server_drains() -> None:
    assert "TimeoutStopSec=135\n" in flexcore(flexcore_drain_seconds=120).text("flexcore.service.j2")


def test_the_release_that_is_deployed_migrates_and_the_current_one_serves() -> None:
    role = flexcore()
    assert "ExecStart=/opt/flexcore/releases/0.1.0+abcd/bin/flexcore migrate" in role.text(
        "flexcore-migrate.service.j2"
    )
    assert "ExecStart=/opt/flexcore/current/bin/flexcore serve" in role.text("flexcore.service.j2")


@pytest.mark.parametrize(
    ("address", "asked"),
    [("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("2001:db8::1", "[2001:db8::1]")],  # noqa: S104
)
def test_readiness_is_asked_where_the_server_listens(address: str, asked: str) -> None:
    assert flexcore(flexcore_http_host=address).value("_flexcore_url") == f"http://{asked}:8080"


def test_only_what_the_inventory_names_can_be_written_from_the_sandbox() -> None:
    lines = flexcore(flexcore_builtin_write=["/srv/out"]).text("flexcore-sandbox.service.j2").splitlines()
    assert [line for line in lines if line.startswith("ReadWritePaths")] == ["ReadWritePaths=-/srv/out"]
    assert "ReadWritePaths" not in flexcore().text("flexcore-sandbox.service.j2")


def test_the_sandbox_goes_down_and_up_with_the_server_and_is_there_before_it() -> None:
    server, sandbox = (flexcore().text(f"{name}.service.j2").splitlines() for name in ("flexcore", "flexcore-sandbox"))
    assert "PartOf=flexcore.service" in sandbox
    assert any(line.startswith("Wants=") and "flexcore-sandbox.service" in line for line in server)
    assert any(line.startswith("After=") and "flexcore-sandbox.service" in line for line in server)
    release = "/opt/flexcore/current/bin/flexcore"
    assert (
        f"ExecStart={release} sandbox --listen /run/flexcore-sandbox/supervisor.sock --allow-user flexcore" in sandbox
    )
    assert f"ExecStart={release} serve --config /etc/flexcore/config.yaml" in server


def test_only_the_sandbox_may_make_namespaces_and_only_the_server_reaches_the_network() -> None:
    server, sandbox = (flexcore().text(f"{name}.service.j2").splitlines() for name in ("flexcore", "flexcore-sandbox"))
    assert "RestrictNamespaces=yes" in server
    assert "RestrictNamespaces=cgroup ipc mnt net pid user uts" in sandbox
    assert {"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX", "CapabilityBoundingSet="} <= set(sandbox)
    assert "User=flexcore-sandbox" in sandbox


def test_the_oldest_releases_are_those_beyond_the_newest() -> None:
    lines = ["installed", "release c", "release 0.1.0+abcd", "release b", "release a"]
    assert flexcore(_flexcore_state={"stdout_lines": lines}).value("_flexcore_old_releases") == ["c", "b", "a"]


# PostgreSQL

RULES = [{"databases": ["flexcore"], "roles": ["owner", "runtime"], "addresses": ["192.0.2.2/32", "192.0.2.3/32"]}]


def test_only_what_the_inventory_names_may_connect_and_with_scram_only() -> None:
    lines = postgresql(postgresql_access=RULES).text("pg_hba.conf.j2").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "local all postgres peer",
        "host flexcore owner,runtime 192.0.2.2/32 scram-sha-256",
        "host flexcore owner,runtime 192.0.2.3/32 scram-sha-256",
    ]


def test_settings_are_quoted_and_booleans_written_as_postgresql_knows_them() -> None:
    role = postgresql(postgresql_settings={"log_connections": True, "cluster_name": "it's", "work_mem": "5MB"})
    text = role.text("site.conf.j2")
    assert "log_connections = 'on'\n" in text
    assert "cluster_name = 'it''s'\n" in text
    assert "password_encryption = 'scram-sha-256'\n" in text


@pytest.mark.parametrize(
    ("known", "restart_due", "expected"),
    [
        ({"port": "5432", "work_mem": "4MB"}, False, ["Reload PostgreSQL"]),
        ({"port": "5433", "work_mem": "5MB"}, False, ["Restart PostgreSQL"]),
        ({"port": "5432", "work_mem": "5MB", "wal_level": "logical"}, False, ["Restart PostgreSQL"]),
        ({"port": "5432", "work_mem": "5MB"}, True, ["Restart PostgreSQL"]),
    ],
    ids=["reloadable", "changed", "removed", "left over"],
)
def test_postgresql_restarts_only_for_what_needs_it(known: dict, restart_due: bool, expected: list[str]) -> None:
    fixed = {"listen_addresses": "127.0.0.1", "max_connections": "100", "password_encryption": "scram-sha-256"}
    state = {"settings": fixed | known, "restart_settings": ["port", "wal_level"], "restart_due": restart_due}
    role = postgresql(
        postgresql_settings={"work_mem": "5MB"},
        _postgresql_state={"rc": 0, "stdout": json.dumps(state)},
    )
    assert role.value("_postgresql_activation") == expected


def test_a_stopped_server_reads_everything_when_it_starts() -> None:
    assert postgresql(_postgresql_state={"rc": 2, "stdout": ""}).value("_postgresql_activation") == []


# Redis

USERS = [{"name": "flexcore", "password": "p" * 16, "keys": ["flexcore:*"], "channels": ["flexcore:*", "other"]}]


def test_redis_answers_its_users_only_and_stores_no_password() -> None:
    lines = redis(redis_users=USERS).text("users.acl.j2").splitlines()
    assert lines[0] == "user default reset off"
    assert lines[2].startswith("user flexcore reset on #")
    assert " ~flexcore:* &flexcore:* &other +@all -@admin -@dangerous " in lines[2]
    assert "p" * 16 not in "\n".join(lines)


def test_redis_keeps_every_write_and_evicts_nothing() -> None:
    text = redis(redis_settings={"maxclients": 500}).text("redis.conf.j2")
    for line in ("appendonly yes", "maxmemory-policy noeviction", "maxclients 500", "bind 127.0.0.1"):
        assert f"\n{line}\n" in text


def test_all_weak_passwords_of_redis_are_named_and_none_shown() -> None:
    assert [found["key"] for found in redis(redis_users=USERS).value("_redis_passwords")] == [
        "redis_admin_password",
        "redis_users[].password of flexcore",
    ]


# The scheduled check


def test_the_check_takes_the_targets(tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    targets = [
        {"name": "flexcore@host1", "url": "http://192.0.2.1:8080"},
        {"name": "redis", "url": "redis://192.0.2.1:6379"},
    ]
    file.write_text(health_schedule(health_schedule_targets=targets).text("targets.yaml.j2"))
    selection = read_targets_file(file)
    assert [target.name for target in selection.targets] == ["flexcore@host1", "redis"]
    assert selection.timeout == 5


def test_the_check_asks_with_a_token_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "token-token-token-token-2"
    role = health_schedule(
        health_schedule_targets=[{"name": "flexcore", "url": "https://192.0.2.1:8080"}], health_schedule_token=token
    )
    file = tmp_path / "targets.yaml"
    file.write_text(role.text("targets.yaml.j2"))
    (tmp_path / "token").write_text(token)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert [target.token for target in read_targets_file(file).targets] == [token]
    assert token not in file.read_text() + role.text("flexcore-health.service.j2")
    assert "\nLoadCredential=token:/etc/flexcore-health/credentials/token\n" in role.text("flexcore-health.service.j2")
    assert "LoadCredential" not in health_schedule().text("flexcore-health.service.j2")


@pytest.mark.parametrize(
    ("seconds", "calendar"),
    [(5, "*:*:0/5"), (15, "*:*:0/15"), (60, "*:0/1"), (300, "*:0/5"), (1800, "*:0/30"), (3600, "hourly")],
)
def test_the_interval_becomes_a_calendar(seconds: int, calendar: str) -> None:
    role = health_schedule(health_schedule_interval_seconds=seconds)
    assert f"OnCalendar={calendar}\n" in role.text("flexcore-health.timer.j2")


def test_every_allowed_interval_divides_a_minute_or_an_hour() -> None:
    for seconds in health_schedule().value("_health_schedule_intervals"):
        assert 60 % seconds == 0 or (seconds % 60 == 0 and 3600 % seconds == 0)


def test_a_hanging_check_is_over_before_the_next() -> None:
    assert "TimeoutStartSec=29\n" in health_schedule(health_schedule_interval_seconds=30).text(
        "flexcore-health.service.j2"
    )
