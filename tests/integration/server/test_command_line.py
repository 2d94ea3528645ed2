"""The `flexcore` command: what it prints, and how it ends when something is wrong."""

import re
from pathlib import Path

import pytest

from flexcore.application.read_models.plugin_inventory import PluginInventoryProjection
from flexcore.infrastructure.postgres.access import PostgresAccess
from tests.integration.server.flexcore_process import TOKEN, run_command
from tests.servers import PostgresServer


def test_version() -> None:
    # The release, and a digest of what was built.
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{8}\n", run_command("version", environ={}).stdout)


@pytest.mark.parametrize("command", ["serve", "check-config", "migrate"])
def test_a_wrong_setting_is_one_line_and_exit_code_78(command: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("http: {port: eighty}\n")
    ended = run_command(command, "--config", str(file), environ={"FLEXCORE_API_TOKEN": TOKEN})
    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr == (
        f"flexcore: http.port from {file}: 'eighty' is not allowed; expected a whole number from 0 to 65535\n"
    )


def test_serve_without_a_token_says_how_to_give_one() -> None:
    ended = run_command("serve", environ={})
    assert ended.returncode == 78
    assert ended.stderr.startswith("flexcore: auth.token is not set; ")


def test_production_does_not_start_with_the_development_password() -> None:
    environ = {"FLEXCORE_ENV": "production", "POSTGRES_PASSWORD": "flexcore_dev_2025", "FLEXCORE_API_TOKEN": TOKEN}
    ended = run_command("serve", environ=environ)
    assert ended.returncode == 78
    assert "the development password is not allowed in production" in ended.stderr
    assert "flexcore_dev_2025" not in ended.stderr


def test_check_config_shows_every_value_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("node_id: core7\n")
    ended = run_command("check-config", "--config", str(file), environ={"POSTGRES_PASSWORD": "hunter2hunter2"})
    assert ended.returncode == 0
    assert f'node_id = "core7"  ({file})' in ended.stdout
    assert "postgres.password = ***  (environment POSTGRES_PASSWORD)" in ended.stdout
    assert "hunter2" not in ended.stdout + ended.stderr


def owner_environ(server: PostgresServer, database: str) -> dict[str, str]:
    login = server.login(server.owner)
    return {
        "POSTGRES_HOST": login.host,
        "POSTGRES_PORT": str(login.port),
        "POSTGRES_DB": database,
        "POSTGRES_OWNER_PASSWORD": login.password,
        "POSTGRES_USER": server.runtime,
    }


def test_migrate_needs_only_the_owners_password_and_can_run_again(
    postgres_server: PostgresServer, empty_database: str
) -> None:
    environ = owner_environ(postgres_server, empty_database)
    first = run_command("migrate", environ=environ)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("the schema went from revision none to ")
    second = run_command("migrate", environ=environ)
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout.endswith(" already\n")


def test_a_failed_migration_is_one_line_without_the_password(
    postgres_server: PostgresServer, runtime_access: PostgresAccess
) -> None:
    environ = owner_environ(postgres_server, runtime_access.database) | {"POSTGRES_OWNER_PASSWORD": "wrong-hunter2"}
    ended = run_command("migrate", environ=environ)
    assert ended.returncode not in (0, 78)
    assert ended.stderr.startswith("flexcore: ")
    assert ended.stderr.count("\n") == 1
    assert "hunter2" not in ended.stderr


def test_help_names_the_commands() -> None:
    shown = run_command("--help", environ={}).stdout
    for command in ("serve", "migrate", "check-config", "version"):
        assert command in shown


def runtime_environ(server: PostgresServer, database: str) -> dict[str, str]:
    login = server.login(server.runtime)
    return {
        "POSTGRES_HOST": login.host,
        "POSTGRES_PORT": str(login.port),
        "POSTGRES_DB": database,
        "POSTGRES_USER": server.runtime,
        "POSTGRES_PASSWORD": login.password,
    }


def test_projections_are_listed_and_rebuilt(postgres_server: PostgresServer, database_name: str) -> None:
    environ = runtime_environ(postgres_server, database_name)
    assert run_command("projections", "list", environ=environ).stdout.splitlines()[1:] == [], "no server ran yet"
    built = run_command("projections", "rebuild", "plugin_inventory", environ=environ)
    assert (built.returncode, built.stderr) == (0, "")
    assert re.fullmatch(r"plugin_inventory was rebuilt from 0 events in \d+\.\d s\n", built.stdout)
    listed = run_command("projections", "list", environ=environ)
    header, line = listed.stdout.splitlines()
    assert header.split() == ["NAME", "STATUS", "VERSION", "POSITION", "BEHIND", "PROBLEM"]
    assert line.split() == ["plugin_inventory", "live", str(PluginInventoryProjection.version), "0", "0"]


def test_an_unknown_projection_is_refused_with_those_there_are() -> None:
    ended = run_command("projections", "rebuild", "everything", environ={})
    assert ended.returncode == 2
    assert "'everything' is not one of 'execution_history', " in ended.stderr


def test_projections_without_a_database_fail_in_one_line(
    postgres_server: PostgresServer, runtime_access: PostgresAccess
) -> None:
    environ = runtime_environ(postgres_server, runtime_access.database) | {"POSTGRES_PASSWORD": "wrong-hunter2"}
    ended = run_command("projections", "list", environ=environ)
    assert ended.returncode == 69
    assert ended.stderr == "flexcore: PostgreSQL refuses the password of FlexCore's role\n"
