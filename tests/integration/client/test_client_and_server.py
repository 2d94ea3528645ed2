"""The client against the real server: what is dead or hangs is named within 5 s, whoever it is, and so is recovery."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from flexcore_client.client import FlexCoreClient
from flexcore_client.errors import ClientError
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.log_query import log_query
from flexcore_client.models import ServiceHealth
from flexcore_client.targets import Target, parse_targets
from flexcore_client.transport import HttpTransport

from tests.integration.server.flexcore_process import TOKEN, FlexCoreProcess
from tests.servers import PostgresServer, RedisServer, Server, wait_until

SHOWN_SECONDS = 5.0
OPTIONS = CheckOptions(timeout=1.0)


@pytest.fixture
def targets(api: httpx.Client, postgres_server: PostgresServer, redis_server: RedisServer) -> list[Target]:
    """FlexCore, PostgreSQL and Redis; the client `api` is here because it waits until the server listens."""
    postgres, redis = postgres_server.login(postgres_server.runtime), redis_server.login()
    urls = [str(api.base_url), f"postgresql://{postgres.host}:{postgres.port}", f"redis://{redis.host}:{redis.port}"]
    return parse_targets([{"url": url} for url in urls], TOKEN)


def wait_for(targets: list[Target], *expected: str) -> dict[str, ServiceHealth]:
    """Check until the statuses of FlexCore, PostgreSQL and Redis are as expected."""
    seen: list[ServiceHealth] = []

    def shown() -> bool:
        seen[:] = check(targets, OPTIONS)
        return [result.status.value for result in seen] == list(expected)

    wait_until(shown, SHOWN_SECONDS, f"the verdicts {expected}")
    return {result.service_name: result for result in seen}


def test_everything_is_healthy_and_has_a_version(targets: list[Target]) -> None:
    seen = wait_for(targets, "HEALTHY", "HEALTHY", "HEALTHY")
    assert seen["flexcore"].details["dialect"] == "flexcore-v1"
    assert seen["flexcore"].uptime is not None
    assert all(result.version for result in seen.values())


@pytest.mark.parametrize("fault", ["kill", "hang"])
@pytest.mark.parametrize(
    ("culprit", "statuses"),
    [
        ("postgresql", ("UNHEALTHY", "UNHEALTHY", "HEALTHY")),
        # Without Redis FlexCore still serves.
        ("redis", ("DEGRADED", "HEALTHY", "UNHEALTHY")),
    ],
)
def test_a_dependency_is_named_and_so_is_its_recovery(
    culprit: str,
    statuses: tuple[str, ...],
    fault: str,
    targets: list[Target],
    faulty_postgres: PostgresServer,
    faulty_redis: RedisServer,
) -> None:
    servers: dict[str, Server] = {"postgresql": faulty_postgres, "redis": faulty_redis}
    wait_for(targets, "HEALTHY", "HEALTHY", "HEALTHY")
    getattr(servers[culprit], fault)()
    seen = wait_for(targets, *statuses)
    assert seen["flexcore"].details["culprit"] == culprit
    assert seen["flexcore"].details["cause"].startswith(f"{culprit}: ")
    assert seen[culprit].details["culprit"] == culprit
    servers[culprit].ensure_running()
    wait_for(targets, "HEALTHY", "HEALTHY", "HEALTHY")


def test_a_dead_flexcore_does_not_hide_the_others(targets: list[Target], flexcore: FlexCoreProcess) -> None:
    flexcore.end()
    seen = wait_for(targets, "UNHEALTHY", "HEALTHY", "HEALTHY")
    assert seen["flexcore"].details["cause"] == "connection refused"


def ask(target: Target, method: str, *arguments: Any) -> Any:
    async def run() -> Any:
        async with HttpTransport(target.address, token=target.token) as transport:
            return await getattr(FlexCoreClient(target, transport), method)(*arguments)

    return asyncio.run(run())


def test_plugins_of_the_real_server(targets: list[Target]) -> None:
    plugins = {plugin.id: plugin for plugin in ask(targets[0], "plugins")}
    assert plugins.keys() >= {"json-processor", "simple-processor", "flext-service"}
    one = ask(targets[0], "plugin", "json-processor")
    assert (one.id, one.status, one.version) == ("json-processor", "active", plugins["json-processor"].version)
    assert ask(targets[0], "plugin", "absent") is None


def test_logs_of_the_real_server(targets: list[Target]) -> None:
    records = ask(targets[0], "logs", log_query(5, "info", "1h", datetime.now(UTC)))
    assert 0 < len(records) <= 5
    assert all(record.timestamp and record.component and record.node_id == "core1" for record in records)
    assert ask(targets[0], "logs", log_query(5, "critical", None, datetime.now(UTC))) == []


def test_a_wrong_token_is_told_without_the_token(targets: list[Target]) -> None:
    wrong = parse_targets([{"url": targets[0].address.url}], "wrong-token-0123456789-wrong")[0]
    with pytest.raises(ClientError, match="401, the token is missing or not accepted") as caught:
        ask(wrong, "plugins")
    assert "wrong-token" not in str(caught.value)


def test_the_scheduled_check_tells_changes_and_nothing_else(
    targets: list[Target], tmp_path: Path, faulty_redis: RedisServer
) -> None:
    file = tmp_path / "targets.yaml"
    entries = [{"name": target.name, "url": target.address.url} for target in targets]
    file.write_text(json.dumps({"timeout": 1, "targets": entries}))

    def scheduled() -> list[str]:
        program = Path(sys.executable).with_name("flext")
        command = [program, "service", "health", "--targets", file, "--record", tmp_path / "record"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    def eventually(condition: Callable[[list[str]], bool]) -> list[str]:
        said: list[str] = []

        def met() -> bool:
            said.extend(scheduled())
            return condition(said)

        wait_until(met, SHOWN_SECONDS, "the change in the output of the scheduled check")
        return said

    wait_for(targets, "HEALTHY", "HEALTHY", "HEALTHY")
    assert scheduled() == [f"{name} healthy, first check" for name in ("flexcore", "postgresql", "redis")]
    assert scheduled() == []
    faulty_redis.kill()
    said = eventually(lambda lines: len(lines) == 2)
    assert sorted(line.partition(" -> ")[0] for line in said) == ["flexcore degraded", "redis unhealthy"]
    assert all("was healthy for" in line for line in said)
    faulty_redis.ensure_running()
    said = eventually(lambda lines: len(lines) == 2)
    assert sorted(line.partition(", was ")[0] for line in said) == ["flexcore healthy", "redis healthy"]
