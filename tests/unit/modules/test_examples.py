"""The examples in the modules' documentation, run as they stand on a double of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.nativetypes import NativeEnvironment

from tests.doubles import socket_double
from tests.doubles.flexcore_double import FlexCoreDouble
from tests.doubles.http_double import serving
from tests.doubles.socket_double import behaving
from tests.unit.modules.conftest import RunModule
from tests.unit.modules.documentation import MODULES, block
from tests.unit.modules.scenarios import package, with_greeter, with_pipeline

ADDRESSES = ("http://127.0.0.1:8080", "https://flexcore.example.org:8443")
EXAMPLES = [(module.stem, task) for module in MODULES for task in block(module, "EXAMPLES")]
# Strict: an example that uses a variable that nobody has is wrong.
jinja = NativeEnvironment(undefined=jinja2.StrictUndefined)


def rendered(value: Any, variables: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: rendered(one, variables) for name, one in value.items()}
    if isinstance(value, list):
        return [rendered(one, variables) for one in value]
    return str(jinja.from_string(value).render(variables)) if isinstance(value, str) else value


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a journal in the place of this machine's."""
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\necho '{json.dumps({'MESSAGE': 'from the journal'})}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.parametrize(("module", "task"), EXAMPLES, ids=[f"{module}: {task['name']}" for module, task in EXAMPLES])
def test_an_example_does_what_it_says(
    module: str, task: dict[str, Any], run_module: RunModule, tmp_path: Path, journal: None
) -> None:
    state = FlexCoreDouble()
    with_greeter()(state)
    if module == "flexcore_pipeline_run" or task[module].get("state") == "absent":
        with_pipeline(name="look at a text")(state)
    state.nodes["here"] = state.node("here", "drained" if task[module].get("state") == "active" else "active")
    postgresql, redis = socket_double.saying(b"S"), socket_double.saying(b"+PONG\r\n")
    with (
        serving(state) as double,  # type: ignore[arg-type]  # it is asked with get() only
        behaving(postgresql) as postgresql_double,
        behaving(redis) as redis_double,
    ):
        variables = {
            "ansible_host": "127.0.0.1",
            "inventory_hostname": "here",
            "flexcore_api_token": "token-0123456789",
            "flexcore_admin_password": "password-0123456789",
            "flexcore_postgresql_host": "127.0.0.1",
            "flexcore_postgresql_port": postgresql_double.port,
            "flexcore_redis_host": "127.0.0.1",
            "flexcore_redis_port": redis_double.port,
            "import_password": "password-0123456789",
            "token_directory": str(tmp_path),
            "upgrade_began": "2026-01-01T00:00:00Z",
        }
        text = json.dumps(task[module])
        for address in (*ADDRESSES, "http://{{ ansible_host }}:8080"):
            text = text.replace(address, double.url)
        text = text.replace("dist/greeter-1.5.0.tar.gz", package(tmp_path))
        arguments = rendered(json.loads(text), variables)
        if module == "flexcore_health":
            arguments["wait_interval"] = 0.01
        result = run_module(module, **arguments)
    assert "failed" not in result, result["msg"]
