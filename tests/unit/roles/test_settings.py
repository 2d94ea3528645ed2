"""Every setting of the server is a variable of the role, or it is said here why not."""

from __future__ import annotations

from typing import Any

import yaml

from flexcore.configuration import declarations
from tests.unit.roles.rendering import Role

OPTIONAL = {
    "flexcore_tls_certificate": "-----BEGIN CERTIFICATE-----\n",
    "flexcore_tls_key": "-----BEGIN PRIVATE KEY-----\n",
    "flexcore_plugin_network": {"greeter": ["example.org:443"]},
    "flexcore_marketplace_source": "/srv/plugins",
    "flexcore_services": {"flext-service": "http://192.0.2.9:8081"},
}
NO_VARIABLE = {
    "debug": "flexcore_log_level says it, and production takes that",
    "state_directory": "systemd sets it, as StateDirectory= of the unit",
    "sandbox.credentials_directory": "systemd sets it, for the unit's credentials",
    "event_store.connection": "the variables for PostgreSQL say it piece by piece",
    "grpc.port": "nothing uses it",
    "telemetry.service_name": "nothing uses it",
    "telemetry.otlp_endpoint": "nothing uses it",
    "telemetry.prometheus_endpoint": "nothing uses it",
}
# What a deployed server needs otherwise than one on a developer's machine.
OTHER_DEFAULTS = {"environment", "node_id", "redis.username", "sandbox.mode", "sandbox.socket", "plugins.directory"}
DECLARED = {item.key: item for item in declarations()}


def written(**variables: Any) -> dict[str, Any]:
    """What the role writes into config.yaml, by setting."""
    role = Role("flexcore", role_name="flexcore", _flexcore_version={"stdout": "0.1.0+abcd"}, **variables)
    found: dict[str, Any] = {}

    def walk(value: Any, key: str) -> None:
        if key in DECLARED:
            found[key] = value
        else:
            for name, inner in value.items():
                walk(inner, f"{key}.{name}".lstrip("."))

    walk(yaml.safe_load(role.text("config.yaml.j2")), "")
    return found


def test_every_setting_is_a_variable_of_the_role_or_has_a_reason_not_to_be() -> None:
    credentials = Role("flexcore", role_name="flexcore").value("_flexcore_credential_variables")
    secret = {key for key, item in DECLARED.items() if item.is_secret and item.extra["credential"] in credentials}
    assert DECLARED.keys() - written(**OPTIONAL) - secret == NO_VARIABLE.keys()


def test_a_setting_has_one_default() -> None:
    given = {key: value for key, value in written().items() if key not in OTHER_DEFAULTS}
    assert given == {key: DECLARED[key].default for key in given}
