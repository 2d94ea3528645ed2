"""The sandbox as callers and operators meet it: what is enforced, what happens without it, and who has to wait."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.integration.server.flexcore_process import run_command, running
from tests.servers import wait_until

API = "/api/v1/flexcore"
EXECUTE = f"{API}/plugins/simple-processor/execute"


def test_what_is_enforced_is_shown_and_what_is_used_is_recorded(checked: httpx.Client) -> None:
    sandbox = checked.get(f"{API}/runtime/status").json()["sandbox"]
    assert (sandbox["mode"], sandbox["problem"]) == ("enforced", None)
    assert sandbox["measures"]
    assert all(measure["detail"] for measure in sandbox["measures"])
    answer = checked.post(EXECUTE, json={"operation": "wait", "parameters": {"data": {"seconds": 0}}}).json()
    found = checked.get(f"{API}/executions/{answer['execution_id']}").json()
    assert found["status"] == "completed"
    assert found["cpu_ms"] >= 0
    assert found["peak_memory_bytes"] > 0


def test_what_is_used_now_is_shown_while_it_is_used(checked: httpx.Client) -> None:
    def used() -> dict[str, float]:
        usage: dict[str, float] = checked.get(f"{API}/plugins/simple-processor/status").json()["resource_usage"]
        return usage

    body = {"operation": "wait", "parameters": {"data": {"seconds": 60}}}
    execution_id = checked.post(EXECUTE, params={"async": "true"}, json=body).json()["execution_id"]
    wait_until(lambda: used()["memory_mb"] > 0, 20, "memory of a running plugin")
    assert checked.get(f"{API}/runtime/status").json()["process"]["memory"]["plugins_mb"] > 0
    checked.post(f"{API}/executions/{execution_id}/cancel")
    wait_until(lambda: used()["memory_mb"] == 0, 20, "no memory of a plugin that has ended")


def test_a_full_node_lets_some_wait_and_sends_the_others_away(environ: dict[str, str]) -> None:
    few = {"FLEXCORE_EXECUTION_SLOTS": "1", "FLEXCORE_EXECUTION_QUEUE": "1", "FLEXCORE_EXECUTION_QUEUE_SECONDS": "60"}
    body = {"operation": "wait", "parameters": {"data": {"seconds": 4}}}
    with running(environ | few) as process, process.client() as api, ThreadPoolExecutor(2) as pool:

        def slots() -> dict[str, int]:
            found: dict[str, int] = api.get(f"{API}/runtime/status").json()["slots"]
            return found

        answers = [pool.submit(httpx.post, f"{process.url}{EXECUTE}", json=body, headers=api.headers, timeout=60)]
        wait_until(lambda: slots()["busy"] == 1, 20, "a taken slot")
        answers.append(pool.submit(httpx.post, f"{process.url}{EXECUTE}", json=body, headers=api.headers, timeout=60))
        wait_until(lambda: slots()["waiting"] == 1, 20, "somebody in line")
        refused = api.post(EXECUTE, json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert [answer.result().status_code for answer in answers] == [200, 200]


def test_without_its_sandbox_a_node_says_so_and_runs_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    away = {"FLEXCORE_SANDBOX_SOCKET": str(tmp_path / "nobody.sock")}
    with running(environ | away) as process, process.client() as api:
        health = api.get("/health", params={"detail": "true"}).json()
        assert health["components"]["plugin_runtime"]["status"] == "unhealthy"
        assert "the sandbox supervisor is away" in health["components"]["plugin_runtime"]["message"]
        refused = api.post(EXECUTE, json={"operation": "echo"})
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert api.get(f"{API}/executions").json()["executions"] == []
        assert api.get(f"{API}/runtime/status").json()["sandbox"]["problem"] is not None


def test_a_strict_node_does_not_start_without_it(environ: dict[str, str], tmp_path: Path) -> None:
    strict = {
        "FLEXCORE_SANDBOX_MODE": "strict",
        "FLEXCORE_SANDBOX_SOCKET": str(tmp_path / "nobody.sock"),
        "FLEXCORE_API_TOKEN": "x" * 30,
        "FLEXCORE_PORT": "0",
    }
    done = run_command("serve", environ=environ | strict)
    assert done.returncode == os.EX_CONFIG
    (line,) = done.stderr.splitlines()
    assert line.startswith("flexcore: sandbox.mode is strict, and the sandbox supervisor is away")
