"""What a role refuses before it changes anything, and how it says so."""

from typing import Any

import pytest

from tests.unit.roles.rendering import FACTS, Role

GOOD: dict[str, dict[str, Any]] = {
    "postgresql": {
        "postgresql_roles": [{"name": "flexcore", "password": "p" * 16}],
        "postgresql_databases": [{"name": "flexcore", "owner": "flexcore"}],
        "postgresql_access": [
            {"databases": ["flexcore"], "roles": ["flexcore"], "addresses": ["192.0.2.2/32", "::1/128"]}
        ],
    },
    "redis": {
        "redis_admin_password": "a" * 16,
        "redis_users": [{"name": "flexcore", "password": "p" * 16, "keys": ["flexcore:*"], "channels": ["flexcore:*"]}],
    },
    "flexcore": {
        "flexcore_api_token": "t" * 24,
        "flexcore_postgresql_password": "p" * 16,
        "flexcore_postgresql_owner_password": "o" * 16,
        "flexcore_redis_password": "r" * 16,
    },
    "health_schedule": {"health_schedule_targets": [{"name": "flexcore", "url": "http://192.0.2.1:8080"}]},
}
SECRET = "short-secret"


def problems(role: str, kind: str = "problems", **variables: Any) -> list[str]:
    """What the role would say with good variables, and these instead."""
    found: list[str] = Role(role, **(GOOD[role] | variables)).value(f"_{role}_{kind}")
    return found


@pytest.mark.parametrize("role", GOOD)
def test_good_variables_are_taken(role: str) -> None:
    assert problems(role) == []


@pytest.mark.parametrize("role", ["postgresql", "redis", "flexcore"])
def test_a_good_host_is_taken(role: str) -> None:
    assert problems(role, "host_problems") == []


def targets(*urls: str) -> list[dict[str, str]]:
    return [{"name": f"service{number}", "url": url} for number, url in enumerate(urls)]


PEM = {
    "flexcore_tls_certificate": "-----BEGIN CERTIFICATE-----\n",
    "flexcore_tls_key": "-----BEGIN PRIVATE KEY-----\n",
}


def plugin_secrets(**other: str) -> list[dict[str, str]]:
    return [{"plugin": "greeter", "name": "api_key", "value": "k" * 8} | other]


def test_https_and_secrets_of_plugins_are_taken() -> None:
    assert problems("flexcore", **PEM, flexcore_plugin_secrets=plugin_secrets()) == []


@pytest.mark.parametrize("key", [SECRET, f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{SECRET}"])
def test_a_key_that_cannot_be_used_is_refused_without_being_shown(key: str) -> None:
    (said,) = problems("flexcore", **PEM | {"flexcore_tls_key": key})
    assert "flexcore_tls_key" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("role", "variable", "value"),
    [
        ("postgresql", "postgresql_port", 0),
        ("postgresql", "postgresql_port", "70000"),
        ("postgresql", "postgresql_max_connections", 5),
        ("postgresql", "postgresql_settings", {"Port": 1}),
        ("postgresql", "postgresql_settings", {"hba_file": "/tmp/x"}),
        ("postgresql", "postgresql_databases", [{"name": "Flex Core", "owner": "flexcore"}]),
        ("postgresql", "postgresql_databases", [{"name": "flexcore", "owner": "nobody"}]),
        ("postgresql", "postgresql_access", [{"databases": [], "roles": [], "addresses": ["192.0.2.2"]}]),
        ("postgresql", "postgresql_access", [{"databases": [], "roles": [], "addresses": ["192.0.2.256/32"]}]),
        ("postgresql", "postgresql_access", [{"databases": ["all,x"], "roles": [], "addresses": []}]),
        ("postgresql", "postgresql_roles", [{"name": "flexcore", "password": ""}]),
        ("postgresql", "postgresql_roles", [{"name": "flexcore", "password": "flexcore_dev_2025"}]),
        ("redis", "redis_port", -1),
        ("redis", "redis_maxmemory", "lots"),
        ("redis", "redis_settings", {"requirepass": "x"}),
        ("redis", "redis_settings", {"bind": "192.0.2.1"}),
        ("redis", "redis_users", [{"name": "admin", "password": "p" * 16, "keys": [], "channels": []}]),
        ("redis", "redis_users", [{"name": "a b", "password": "p" * 16, "keys": [], "channels": []}]),
        ("redis", "redis_users", [{"name": "ab", "password": "p" * 16, "keys": ["a b"], "channels": []}]),
        ("redis", "redis_users", [{"name": "ab", "password": "p", "keys": [], "channels": []}]),
        ("redis", "redis_admin_password", ""),
        ("flexcore", "flexcore_http_port", 80),
        ("flexcore", "flexcore_postgresql_port", 0),
        ("flexcore", "flexcore_redis_port", 65536),
        ("flexcore", "flexcore_execution_slots", 0),
        ("flexcore", "flexcore_execution_queue", 10001),
        ("flexcore", "flexcore_execution_queue_seconds", 0),
        ("flexcore", "flexcore_session_seconds", 59),
        ("flexcore", "flexcore_max_body_bytes", 1023),
        ("flexcore", "flexcore_execution_max_timeout_seconds", 301),
        ("flexcore", "flexcore_execution_max_kept_result_bytes", -1),
        ("flexcore", "flexcore_execution_results_hours", 0),
        ("flexcore", "flexcore_log_buffer_records", 99),
        ("flexcore", "flexcore_plugin_max_package_bytes", 1023),
        ("flexcore", "flexcore_builtin_postgres_connections", {"Sales": "postgresql://reader@db.example.org/sales"}),
        ("flexcore", "flexcore_builtin_postgres_connections", {"sales": "postgresql://r:secret@db.example.org/sales"}),
        ("flexcore", "flexcore_builtin_read", ["data"]),
        ("flexcore", "flexcore_builtin_write", ["/srv/out", "/"]),
        ("flexcore", "flexcore_job_concurrency", 1025),
        ("flexcore", "flexcore_cluster_name", ""),
        ("flexcore", "flexcore_drain_seconds", 9999),
        ("flexcore", "flexcore_memory_max", "4 gigabytes"),
        ("flexcore", "flexcore_tasks_max", 10),
        ("flexcore", "flexcore_admin_password", "elevenchars"),
        ("flexcore", "flexcore_sandbox_mode", "off"),
        ("flexcore", "flexcore_sandbox_memory_max", "lots"),
        ("flexcore", "flexcore_plugin_network", {"greeter": ["example.org"]}),
        ("flexcore", "flexcore_plugin_network", {"No Slug": ["example.org:443"]}),
        ("flexcore", "flexcore_plugin_signature_required", True),
        ("flexcore", "flexcore_marketplace_source", "ftp://example.org"),
        ("flexcore", "flexcore_marketplace_keys", {"release": "short"}),
        ("flexcore", "flexcore_sandbox_tasks_max", 10),
        ("flexcore", "flexcore_tls_certificate", PEM["flexcore_tls_certificate"]),
        ("flexcore", "flexcore_tls_key", PEM["flexcore_tls_key"]),
        ("flexcore", "flexcore_tls_authority", "/etc/ssl/authority.pem"),
        ("flexcore", "flexcore_tls_name", "https://flexcore.example.org"),
        ("flexcore", "flexcore_plugin_secrets", plugin_secrets(plugin="No Slug")),
        ("flexcore", "flexcore_plugin_secrets", plugin_secrets(name="../api_token")),
        ("flexcore", "flexcore_plugin_secrets", plugin_secrets(value="short")),
        ("flexcore", "flexcore_plugin_secrets", plugin_secrets() * 2),
        ("flexcore", "flexcore_releases_kept", 1),
        ("flexcore", "flexcore_ready_timeout_seconds", 0),
        ("flexcore", "flexcore_node_id", "no spaces"),
        ("flexcore", "flexcore_postgresql_user", "flexcore_owner"),
        ("flexcore", "flexcore_api_token", "t" * 23),
        ("flexcore", "flexcore_redis_password", ""),
        ("flexcore", "flexcore_postgresql_password", "flexcore_dev_2025"),
        ("health_schedule", "health_schedule_interval_seconds", 7),
        ("health_schedule", "health_schedule_timeout_seconds", 14),
        ("health_schedule", "health_schedule_token", "short"),
        ("health_schedule", "health_schedule_targets", []),
        ("health_schedule", "health_schedule_targets", targets("http://192.0.2.1")),
        ("health_schedule", "health_schedule_targets", targets("redis://user@192.0.2.1:6379")),
        ("health_schedule", "health_schedule_targets", targets("http://192.0.2.1:80") * 2),
    ],
)
def test_a_wrong_value_is_refused_and_its_variable_named(role: str, variable: str, value: Any) -> None:
    (said,) = problems(role, **{variable: value})
    assert variable in said


@pytest.mark.parametrize("role", GOOD)
def test_an_unknown_variable_is_refused(role: str) -> None:
    (said,) = problems(role, **{f"{role}_nonsense": 1})
    assert f"{role}_nonsense" in said


@pytest.mark.parametrize("role", GOOD)
def test_a_host_outside_the_group_is_refused(role: str) -> None:
    group = "monitoring" if role == "health_schedule" else role
    groups = [name for name in ("postgresql", "redis", "flexcore", "monitoring") if name != group]
    (said,) = problems(role, group_names=groups)
    assert f"`{group}`" in said


def test_everything_wrong_is_said_at_once() -> None:
    assert len(problems("redis", redis_port=0, redis_maxmemory="1", redis_admin_password="")) == 3


def test_two_nodes_of_one_name_are_refused() -> None:
    groups = {"flexcore": ["host1", "host2"]}
    other = {"host2": {"inventory_hostname": "host2", "flexcore_node_id": "host1"}}
    (said,) = problems("flexcore", groups=groups, hostvars=other)
    assert "flexcore_node_id (host1)" in said
    by_default = {"host2": {"inventory_hostname": "host2"}}
    (said,) = problems("flexcore", groups=groups, hostvars=by_default, flexcore_node_id="host2")
    assert "flexcore_node_id (host2)" in said


@pytest.mark.parametrize(
    ("role", "variables"),
    [
        ("postgresql", {"postgresql_roles": [{"name": "flexcore", "password": SECRET}]}),
        ("redis", {"redis_admin_password": SECRET}),
        ("flexcore", {"flexcore_redis_password": SECRET}),
    ],
)
def test_a_weak_secret_is_refused_without_being_shown_and_taken_in_a_lab(role: str, variables: dict) -> None:
    (said,) = problems(role, **variables)
    assert SECRET not in said
    assert problems(role, **variables, flexcore_lab=True) == []


@pytest.mark.parametrize("role", ["postgresql", "redis", "flexcore"])
def test_an_unsupported_system_is_refused(role: str) -> None:
    said = problems(role, "host_problems", ansible_facts=FACTS | {"distribution_major_version": "9"})
    assert said[0].startswith(f"Role {role} supports Debian-12, Debian-13; host1 runs Debian-9.")


@pytest.mark.parametrize(
    ("role", "variables"),
    [
        ("postgresql", {"postgresql_listen_addresses": ["192.0.2.1", "192.0.2.77"]}),
        ("redis", {"redis_bind_addresses": ["192.0.2.1", "192.0.2.77"]}),
        ("flexcore", {"flexcore_http_host": "192.0.2.77"}),
    ],
)
def test_an_address_of_another_host_is_refused(role: str, variables: dict) -> None:
    (said,) = problems(role, "host_problems", **variables)
    assert "192.0.2.77" in said
    assert "host1" in said
