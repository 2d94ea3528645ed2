"""What checks of health cost: many at once against what is customary, and a module call against the least one."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from flexcore_client.fanout import CheckOptions, check
from flexcore_client.retry import RetryPolicy
from flexcore_client.targets import parse_targets

from tests.bench.aiohttp_checks import checks_per_second
from tests.bench.figures import alternate, print_figure
from tests.doubles import socket_double
from tests.doubles.socket_double import Behaviour, behaving

ROOT = Path(__file__).resolve().parents[2]
TARGETS, HANGING = 1000, 50
# The loop takes a third of a second a target: thirty of them say as much as a thousand.
LOOPED = 30
CALLS = 10
RUNS = 3
DEADLINE_SECONDS = 5.0
TIMEOUT_SECONDS, OVERSHOOT_MS = 1.0, 50.0


@contextlib.contextmanager
def endpoints(hanging: int = 0) -> Iterator[list[str]]:
    """URLs of a thousand endpoints in a process of their own."""
    command = [sys.executable, "-m", "tests.bench.endpoints", str(TARGETS), str(hanging)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield [f"http://127.0.0.1:{port}" for port in json.loads(process.stdout.readline())]
        finally:
            process.stdin.close()


def play(directory: Path, tasks: Sequence[dict[str, Any]], connection: dict[str, Any] | None = None) -> float:
    """Run a playbook with these tasks on one host and return the seconds it took; raises when it fails."""
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": connection or LOCAL}}}))
    playbook = directory / "play.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", directory / "hosts.yml", playbook]
    environment = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "minimal",
        "LC_ALL": "C.UTF-8",
    }
    started = time.perf_counter()
    subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return time.perf_counter() - started


LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def task_seconds(directory: Path, task: dict[str, Any], connection: dict[str, Any] | None = None) -> float:
    """Seconds of one task, without the start of Ansible: ten tasks less none, divided."""
    several = play(directory, [{"name": f"Call {number}", **task} for number in range(CALLS)], connection)
    return (several - play(directory, [], connection)) / CALLS


def health_task(urls: Sequence[str], **more: Any) -> dict[str, Any]:
    return {"flexcore_health": {"targets": [{"url": url} for url in urls], "fail_on_unhealthy": True, **more}}


def uri_task(urls: Sequence[str]) -> dict[str, Any]:
    """What a playbook without modules of its own does."""
    return {
        "ansible.builtin.uri": {"url": "{{ item }}/health", "return_content": True},
        "register": "answer",
        "failed_when": "answer.json.status != 'healthy'",
        "loop": list(urls),
    }


def test_health_fanout_vs_uri_loop(tmp_path: Path) -> None:
    """Targets a second in one task of flexcore_health, against a loop of ansible.builtin.uri."""
    with endpoints() as urls:
        ours, theirs = alternate(
            lambda: TARGETS / (play(tmp_path, [health_task(urls)]) - play(tmp_path, [])),
            lambda: LOOPED / (play(tmp_path, [uri_task(urls[:LOOPED])]) - play(tmp_path, [])),
            RUNS,
        )
    print_figure("fanout_vs_uri_loop", ours, theirs, unit="checks/s", peer_name="ansible_uri_loop", more_is_better=True)


def test_health_fanout_vs_aiohttp() -> None:
    """Targets a second in this process, one request to each: ours is told the dialect, which it else asks for."""

    def ours(urls: Sequence[str]) -> float:
        targets = parse_targets([{"url": url} for url in urls], api="flexcore-v1")
        started = time.perf_counter()
        results = check(targets, CheckOptions(timeout=30))
        elapsed = time.perf_counter() - started
        assert all(result.healthy for result in results)
        return len(results) / elapsed

    with endpoints() as urls:
        mine, theirs = alternate(lambda: ours(urls), lambda: checks_per_second(urls))
    print_figure("fanout_vs_aiohttp", mine, theirs, unit="checks/s", peer_name="aiohttp", more_is_better=True)


def test_health_fanout_with_hanging_targets(tmp_path: Path) -> None:
    """Seconds of a task with fifty targets that hang, against its deadline."""
    with endpoints(HANGING) as urls:
        task = {**health_task(urls, timeout=3, deadline=DEADLINE_SECONDS, fail_on_unhealthy=False)}
        ours, theirs = alternate(lambda: play(tmp_path, [task]) - play(tmp_path, []), lambda: DEADLINE_SECONDS, RUNS)
    print_figure("fanout_with_hanging", ours, theirs, unit="s", peer_name="its_deadline", more_is_better=False)


# Those that keep a client until its time is over, and those that end before in one way or another.
TROUBLED: dict[str, Behaviour] = {
    "http silent": socket_double.silent,
    "https silent": socket_double.silent,
    "redis silent": socket_double.silent,
    "http 1 byte each 20 ms": socket_double.dripping,
    "http 100 MB": socket_double.flooding,
    "http reset": socket_double.resetting,
    "http closed": socket_double.closing,
    "http cut": socket_double.breaking_off,
    "http page": socket_double.saying(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"),
    "http redirect": socket_double.saying(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
    "http 429": socket_double.saying(b"HTTP/1.1 429 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"),
}


def test_health_deadline_overshoot() -> None:
    """Milliseconds for which a check goes on when its time is over, whatever is wrong with the server."""
    overshoots = []
    for _ in range(RUNS):
        for name, behaviour in TROUBLED.items():
            with behaving(behaviour) as double:
                targets = parse_targets([{"url": double.url(name.split()[0])}])
                started = time.perf_counter()
                result = check(targets, CheckOptions(timeout=TIMEOUT_SECONDS, retry=RetryPolicy(1000)))[0]
                elapsed = time.perf_counter() - started
            assert not result.healthy
            overshoots.append(max(0.0, elapsed - TIMEOUT_SECONDS) * 1000)
    allowed = [OVERSHOOT_MS]
    late = [overshoot for overshoot in overshoots if overshoot]
    for name, figures in {"p100": [max(late)], "p50": late}.items():
        print_figure(
            f"deadline_overshoot_{name}_ms", figures, allowed, unit="ms", peer_name="allowed", more_is_better=False
        )


@pytest.mark.parametrize("module", ["flexcore_health", "flexcore_info"])
def test_health_module_call_vs_ping(tmp_path: Path, module: str) -> None:
    """Seconds of a call of a module of ours, against ansible.builtin.ping, over the same connection."""
    with endpoints() as urls:
        ours, theirs = alternate(
            lambda: task_seconds(tmp_path, {module: {"url": urls[0]}}),
            lambda: task_seconds(tmp_path, {"ansible.builtin.ping": {}}),
            RUNS,
        )
    name = "module_call_vs_ping" if module == "flexcore_health" else f"module_call_vs_ping_{module}"
    print_figure(name, ours, theirs, unit="s", peer_name="ansible_ping", more_is_better=False)
