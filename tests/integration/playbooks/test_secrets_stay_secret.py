"""No token, password or secret parameter shows in the most talkative output, process arguments or files left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.doubles import dialects
from tests.doubles.http_double import Reply, Seen, serving

ROOT = Path(__file__).resolve().parents[3]
CANARIES = {name: f"canary-{name}-7f3a9c51d2" for name in ("token", "password", "proxy", "parameter", "nested", "file")}
NESTED = {"deep": [{"api_key": CANARIES["nested"]}]}
OTHERS: dict[str, dict[str, Any]] = {
    "flexcore_event": {"type": "A", "aggregate_type": "B", "aggregate_id": "c", "data": NESTED},
    "flexcore_event_info": {},
    "flexcore_info": {},
    "flexcore_logs": {"source": "http"},
    "flexcore_node": {"node_id": "core1", "state": "drained"},
    "flexcore_node_info": {},
    "flexcore_pipeline": {"name": "look", "steps": [{"id": "a", "plugin": "b", "parameters": NESTED}]},
    "flexcore_pipeline_info": {},
    "flexcore_plugin": {"id": "p1"},
    "flexcore_plugin_info": {},
    "flexcore_services_info": {},
    "flexcore_token": {"name": "monitoring", "role": "viewer"},
}


def echo(seen: Seen) -> Reply:
    """A server that tells the world what it was told."""
    return Reply({"detail": f"{seen.headers} {seen.body.decode()}"}, 400)


class Telling(dict[str, Any]):
    """Routes of which every one that is not named tells, too."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, echo)


def tasks(url: str, token_file: Path) -> list[dict[str, Any]]:
    """Tasks that fail in every way that quotes something."""
    nested = {"text": "x", "deep": [{"api_key": CANARIES["nested"]}]}
    execute = {"id": "p1", "data": nested, "secret_data": {"pin": CANARIES["parameter"]}}
    connections: list[dict[str, Any]] = [
        {"url": url, "token": CANARIES["token"]},
        {"url": url, "token_file": str(token_file)},
        {"url": url, "username": "admin", "password": CANARIES["password"]},
        {"url": "http://127.0.0.1:1", "token": CANARIES["token"], "retries": 0},
        {"url": f"http://admin:{CANARIES['password']}@127.0.0.1:8080"},
        {"url": url, "token": CANARIES["token"], "proxy": f"http://me:{CANARIES['proxy']}@127.0.0.1:1", "retries": 0},
        {"url": url, "token": f"two words {CANARIES['token']}"},
    ]
    found = []
    for connection in connections:
        dialects_asked = ("auto", "flexcore-v1")
        found += [{"flexcore_plugin_execute": {**execute, **connection, "api": api}} for api in dialects_asked]
        found.append({"flexcore_health": connection})
        run = {"id": "p1", "parameters": nested, "secret_parameters": {"pin": CANARIES["parameter"]}}
        found.append({"flexcore_pipeline_run": {**run, **connection, "api": "flexcore-v1"}})
    # Every other module once, on our own generation: what it asks for first is refused in words that quote it.
    for module, arguments in OTHERS.items():
        found.append({module: {**arguments, "url": url, "token": CANARIES["token"], "api": "flexcore-v1"}})
    return [{**task, "ignore_errors": True, "name": f"Fail {number}"} for number, task in enumerate(found)]


def leaks(text: str) -> list[str]:
    return [name for name, canary in CANARIES.items() if canary in text]


def test_secrets_stay_secret(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(CANARIES["file"])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen_arguments: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    try:
                        seen_arguments.add((process / "cmdline").read_text("utf-8", "replace"))
                    except OSError:
                        continue

    with serving(Telling(dialects.legacy_2025())) as double:
        playbook = tmp_path / "play.json"
        playbook.write_text(
            json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks(double.url, token_file)}])
        )
        inventory = tmp_path / "hosts.json"
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(json.dumps({"all": {"hosts": {"here": host}}}))
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            result = subprocess.run(
                [Path(sys.executable).with_name("ansible-playbook"), "-vvvv", "--diff", "-i", inventory, playbook],
                cwd=ROOT,
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("FLEXCORE_")},
                    "LC_ALL": "C.UTF-8",
                    "TMPDIR": str(scratch),
                    "ANSIBLE_LOCAL_TEMP": str(scratch),
                    "ANSIBLE_REMOTE_TMP": str(scratch),
                    "ANSIBLE_LOG_PATH": str(scratch / "log"),
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            over.set()
            watcher.join()
    output = result.stdout + result.stderr
    assert result.returncode == 0, output[-2000:]
    assert output.count("...ignoring") >= 32, "the tasks were to fail"
    assert "***" in output or "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in output
    assert leaks(output) == []
    assert seen_arguments
    assert leaks("\n".join(seen_arguments)) == []
    left = [path.read_text("utf-8", "replace") for path in scratch.rglob("*") if path.is_file()]
    assert left, "the log at least"
    assert leaks("\n".join(left)) == []
