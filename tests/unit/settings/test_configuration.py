"""Settings: layers, sources, and the one line that says what is wrong."""

import re
from pathlib import Path

import pytest

from flexcore.configuration import SettingsError, load
from flexcore.declarations import declarations
from flexcore.settings import DEVELOPMENT_PASSWORD, Secret, Settings

TOKEN = "t0ken-" * 5
SERVER = ("auth.token", "postgres.password")


def write(path: Path, text: str) -> Path:
    file = path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def failure(environ: dict[str, str], path: Path | None = None, required: tuple[str, ...] = ()) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path, environ, required=required)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_are_those_of_the_declarations() -> None:
    loaded = load(None, {}, required=())
    assert loaded.settings.http == Settings().http
    assert loaded.settings.services == Settings().services
    assert loaded.sources["http.port"] == "default"


def test_file_overrides_default_and_environment_overrides_file(tmp_path: Path) -> None:
    file = write(tmp_path, "http: {port: 8081, host: 127.0.0.2}\n")
    loaded = load(file, {"FLEXCORE_PORT": "8082"}, required=())
    assert (loaded.settings.http.port, loaded.sources["http.port"]) == (8082, "environment FLEXCORE_PORT")
    assert (loaded.settings.http.host, loaded.sources["http.host"]) == ("127.0.0.2", str(file))


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(None, {"FLEXCORE_PORT": ""}, required=()).sources["http.port"] == "default"


@pytest.mark.parametrize("declaration", list(declarations()), ids=lambda declaration: declaration.key)
def test_every_declaration_can_be_set_and_explained(declaration: object, tmp_path: Path) -> None:
    assert declaration.description
    assert declaration.allowed
    if declaration.env is None:
        return
    if declaration.is_secret:
        value = "postgres://u:p@h/d" if declaration.key == "event_store.connection" else TOKEN
    else:
        is_address = declaration.key.endswith(("_endpoint", "marketplace.source"))
        example = "http://collector:4317" if is_address else "u"
        value = str(example if declaration.default is None else declaration.default).lower()
    environ = {declaration.env: value}
    if declaration.key.startswith("http.tls_"):
        environ = {"FLEXCORE_TLS_CERT_FILE": "/c", "FLEXCORE_TLS_KEY_FILE": "/k"}
    assert load(None, environ, required=()).sources[declaration.key] == f"environment {declaration.env}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http: {port: 99999}", "http.port from {file}: 99999 is not allowed; expected a whole number from 0 to 65535"),
        ("http: {port: '80'}", "http.port from {file}: '80' is not allowed; expected a whole number from 0 to 65535"),
        ("debug: 'yes'", "debug from {file}: 'yes' is not allowed; expected true or false"),
        ("environment: prod", "expected one of development, staging, production"),
        ("http: 8080", "http from {file}: expected settings by name below it, not a number"),
        ("http: {prot: 1}", "http.prot from {file}: unknown setting; http: allowed are host, "),
        ("postgre: {}", "postgre from {file}: unknown setting; allowed are auth, builtins, cluster, debug, "),
        ("node_id: 'a b'", "expected up to 54 letters, digits, dots, dashes and underscores"),
        ("services: {UP: 'http://x'}", "services from {file}: "),
        ("services: {web: 'ftp://x'}", "each with an http:// or https:// base URL"),
        ("grpc: {port: 0}", "grpc.port from {file}: 0 is not allowed; expected a whole number from 1 to 65535"),
        ("telemetry: {otlp_endpoint: collector}", "expected an http:// or https:// URL without credentials"),
        ("telemetry: {otlp_endpoint: 'http://u:hunter2@c'}", "'http://***@c' is not allowed"),
        ("services: {web: 'http://u:hunter2@x'}", "'http://***@x'"),
        ("- a", "expected settings by name, not a list"),
        ("debug: false\ndebug: true", "not valid YAML at line 2, column 1: debug is given twice"),
        ("a: b: c", "not valid YAML at line 1, column 5"),
        ("postgres: {password: hunter2hunter2}", "a secret does not belong in this file; set POSTGRES_PASSWORD, "),
        ("http: {tls_cert_file: /x}", "TLS needs both http.tls_cert_file and http.tls_key_file"),
    ],
)
def test_a_wrong_file_is_one_line_with_setting_source_and_what_is_allowed(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = write(tmp_path, text)
    message = failure({}, file)
    assert expected.format(file=file) in message
    assert "hunter2" not in message


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "none.yaml"
    assert failure({}, file) == f"cannot read the configuration {file}: No such file or directory"


def test_a_wrong_variable_names_itself() -> None:
    message = failure({"POSTGRES_PORT": "many"})
    assert message == (
        "postgres.port from environment POSTGRES_PORT: 'many' is not allowed; expected a whole number from 1 to 65535"
    )


def test_an_unknown_flexcore_variable_is_refused_and_others_are_nobodys_business() -> None:
    assert failure({"FLEXCORE_PROT": "1"}).startswith("FLEXCORE_PROT from environment: unknown setting; allowed are ")
    load(None, {"PATH": "/bin", "POSTGRES_FOO": "1"}, required=())


def test_secrets_come_from_environment_then_file_then_credential(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("from-credential\n")
    (tmp_path / "file").write_text("from-file\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    loaded = load(None, environ, required=())
    assert loaded.settings.redis.password.reveal() == "from-credential"
    assert loaded.sources["redis.password"] == "credential redis_password"
    environ["REDIS_PASSWORD_FILE"] = str(tmp_path / "file")
    assert load(None, environ, required=()).settings.redis.password.reveal() == "from-file"
    environ["REDIS_PASSWORD"] = "from-environment"
    assert load(None, environ, required=()).settings.redis.password.reveal() == "from-environment"


def test_a_secret_file_that_cannot_be_read_is_named() -> None:
    assert "REDIS" not in failure({"REDIS_PASSWORD_FILE": "/nowhere/x"}).split(":")[0]
    assert "cannot read the secret from /nowhere/x" in failure({"REDIS_PASSWORD_FILE": "/nowhere/x"})


def test_a_short_token_is_refused_without_being_shown() -> None:
    message = failure({"FLEXCORE_API_TOKEN": "short-secret"})
    assert message == (
        "auth.token from environment FLEXCORE_API_TOKEN: expected a secret of at least 24 characters on one line"
    )


def test_a_required_secret_that_is_missing_names_every_way_to_give_it() -> None:
    message = failure({}, required=SERVER)
    assert re.search(
        r"auth.token is not set; .* FLEXCORE_API_TOKEN, FLEXCORE_API_TOKEN_FILE .*credential api_token", message
    )
    assert "postgres.password is not set" in failure(
        {"FLEXCORE_ENV": "staging", "FLEXCORE_API_TOKEN": TOKEN}, required=SERVER
    )


def test_the_development_password_exists_in_development_only() -> None:
    loaded = load(None, {}, required=("postgres.password",))
    assert loaded.settings.postgres.password.reveal() == DEVELOPMENT_PASSWORD
    assert loaded.sources["postgres.password"] == "development default"


@pytest.mark.parametrize("variable", ["POSTGRES_PASSWORD", "POSTGRES_OWNER_PASSWORD"])
def test_production_refuses_the_development_password(variable: str) -> None:
    message = failure({"FLEXCORE_ENV": "production", variable: DEVELOPMENT_PASSWORD})
    assert "the development password is not allowed in production" in message
    assert f"environment {variable}" in message
    assert DEVELOPMENT_PASSWORD not in message


def test_production_refuses_the_development_password_inside_a_connection() -> None:
    connection = f"postgres://flexcore:{DEVELOPMENT_PASSWORD}@db/flexcore"
    message = failure({"FLEXCORE_ENV": "production", "EVENT_STORE_CONNECTION": connection})
    assert "postgres.password from environment EVENT_STORE_CONNECTION" in message


def test_production_refuses_debug() -> None:
    assert "debug from environment FLEXCORE_DEBUG: not allowed in production" in failure(
        {"FLEXCORE_ENV": "production", "FLEXCORE_DEBUG": "true"}
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_access_control_may_be_off_in_development_on_loopback(host: str) -> None:
    load(None, {"FLEXCORE_AUTH_MODE": "off", "FLEXCORE_HOST": host}, required=SERVER)


@pytest.mark.parametrize(
    "environ", [{"FLEXCORE_HOST": "192.0.2.1"}, {"FLEXCORE_HOST": "core1"}, {"FLEXCORE_ENV": "production"}]
)
def test_access_control_may_not_be_off_elsewhere(environ: dict[str, str]) -> None:
    assert "off is allowed only in development on a loopback address" in failure(
        {"FLEXCORE_AUTH_MODE": "off", **environ}
    )


def test_a_connection_overrides_the_postgres_settings() -> None:
    dsn = "postgres://writer:p%40ss@db.example:6432/events?sslmode=disable"
    loaded = load(None, {"EVENT_STORE_CONNECTION": dsn, "POSTGRES_HOST": "other"}, required=())
    postgres = loaded.settings.postgres
    assert (postgres.host, postgres.port, postgres.database, postgres.user) == ("db.example", 6432, "events", "writer")
    assert postgres.password.reveal() == "p@ss"
    assert loaded.sources["postgres.host"] == "environment EVENT_STORE_CONNECTION"


@pytest.mark.parametrize(
    "dsn",
    ["mysql://u:hunter2@h/d", "postgres://u:hunter2@h:x/d", "hunter2", "postgres://u:hunter2@h/d?sslmode=require"],
)
def test_a_wrong_connection_is_refused_without_being_shown(dsn: str) -> None:
    message = failure({"EVENT_STORE_CONNECTION": dsn})
    assert "expected postgres://user:password@host:port/database" in message
    assert "hunter2" not in message


def test_the_listing_shows_sources_and_no_secret() -> None:
    lines = list(load(None, {"FLEXCORE_API_TOKEN": TOKEN, "FLEXCORE_PORT": "9"}, required=()).lines())
    assert "http.port = 9  (environment FLEXCORE_PORT)" in lines
    assert "auth.token = ***  (environment FLEXCORE_API_TOKEN)" in lines
    assert "redis.password = not set  (default)" in lines
    assert TOKEN not in "\n".join(lines)
    assert DEVELOPMENT_PASSWORD not in "\n".join(lines)


def test_the_values_show_sources_and_no_secret() -> None:
    found = list(load(None, {"FLEXCORE_API_TOKEN": TOKEN, "FLEXCORE_PORT": "9"}, required=()).values())
    values = {key: (value, source) for key, value, source in found}
    assert list(values) == [declaration.key for declaration in declarations()]
    assert values["http.port"] == (9, "environment FLEXCORE_PORT")
    assert values["auth.token"] == ("***", "environment FLEXCORE_API_TOKEN")
    assert values["redis.password"] == (None, "default")
    secrets = [value for key, (value, _) in values.items() if "password" in key or "token" in key]
    assert set(secrets) <= {"***", None}


def test_every_variable_of_the_contract_is_taken() -> None:
    plain = (
        "FLEXCORE_PORT FLEXCORE_GRPC_PORT FLEXCORE_HOST FLEXCORE_ENV FLEXCORE_DEBUG POSTGRES_HOST POSTGRES_PORT "
        "POSTGRES_DB POSTGRES_USER POSTGRES_PASSWORD REDIS_HOST REDIS_PORT REDIS_PASSWORD EVENT_STORE_TYPE "
        "EVENT_STORE_CONNECTION OTEL_SERVICE_NAME OTEL_EXPORTER_OTLP_ENDPOINT PROMETHEUS_ENDPOINT"
    )
    assert set(plain.split()) <= {declaration.env for declaration in declarations()}


def test_what_this_version_does_not_use_is_said_to_whoever_set_it() -> None:
    assert list(load(None, {}, required=()).unused()) == []
    environ = {"FLEXCORE_GRPC_PORT": "50051", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
    assert list(load(None, environ, required=()).unused()) == [
        "grpc.port from environment FLEXCORE_GRPC_PORT is not used: this version serves no gRPC",
        "telemetry.otlp_endpoint from environment OTEL_EXPORTER_OTLP_ENDPOINT is not used: "
        "this version exports no traces",
    ]


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
