"""What holds of every module: documentation, specification, imports, the interpreter it runs under."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.connection import ENVIRONMENT

from tests.unit.modules.conftest import ROOT, RunModule
from tests.unit.modules.documentation import documented
from tests.unit.modules.scenarios import SCENARIOS

MODULES = sorted(path.stem for path in (ROOT / "library").glob("*.py"))
CLIENT = sorted((ROOT / "module_utils" / "flexcore_client").glob("*.py"))
# What a module can be called with, beside an address.
REQUIRED = {scenario.module: scenario.arguments for scenario in reversed(SCENARIOS)}
SHARED_KEYS = ("type", "default", "choices", "elements", "required", "aliases")


def described(name: str) -> dict[str, Any]:
    options: dict[str, Any] = documented(ROOT / "library" / f"{name}.py")["options"]
    return options


def plain(options: dict[str, Any], nested: str) -> dict[str, Any]:
    """Reduce documentation or an argument spec to what both say about each option."""
    return {
        name: {key: option[key] for key in SHARED_KEYS if option.get(key) not in (None, False)}
        | ({"options": plain(option[nested], nested)} if nested in option else {})
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_documentation_and_argument_spec_agree(name: str) -> None:
    assert plain(described(name), "suboptions") == plain(
        importlib.import_module(f"library.{name}").ARGUMENT_SPEC, "options"
    )


@pytest.mark.parametrize("name", MODULES)
def test_environment_variables_are_documented(name: str) -> None:
    for option, variable in ENVIRONMENT.items():
        assert f"E({variable})" in str(described(name)[option]["description"])


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_check_mode(name: str) -> None:
    assert documented(ROOT / "library" / f"{name}.py")["attributes"]["check_mode"]["support"] == "full"


@pytest.mark.parametrize("path", [*CLIENT, *(ROOT / "library").glob("*.py")], ids=lambda path: path.name)
def test_the_syntax_is_that_of_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_one_file_of_the_client_knows_ansible() -> None:
    knowing = [
        path.name for path in CLIENT if "from ansible" in path.read_text() or "import ansible" in path.read_text()
    ]
    assert knowing == ["ansible_module.py"]


@pytest.fixture
def without_httpx(project_modules: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    library = importlib.import_module("ansible.module_utils.flexcore_client.http_library")
    monkeypatch.setattr(library, "HTTPX_IMPORT_ERROR", "ModuleNotFoundError: No module named 'httpx'")
    return importlib.import_module("ansible.module_utils.flexcore_client.ansible_module")


@pytest.mark.parametrize("name", MODULES)
def test_a_proxy_without_httpx_makes_the_module_go_on_under_flexcores_interpreter(
    name: str, without_httpx: Any, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respawn(interpreter: str) -> None:
        sys.stdout.write(json.dumps({"respawned_under": interpreter}))
        raise SystemExit(0)

    monkeypatch.setattr(without_httpx, "probe_interpreters_for_module", lambda paths, _module: paths[0])
    monkeypatch.setattr(without_httpx, "respawn_module", respawn)
    arguments = {"url": "http://127.0.0.1:1", **REQUIRED.get(name, {})}
    result = run_module(name, **arguments, proxy="http://127.0.0.1:2")
    assert result == {"respawned_under": "/opt/flexcore/current/bin/python"}
    assert "respawned_under" not in run_module(name, **arguments)


@pytest.mark.parametrize("respawned", [False, True])
def test_a_proxy_without_httpx_anywhere_says_what_is_missing(
    respawned: bool, without_httpx: Any, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_httpx, "has_respawned", lambda: respawned)
    monkeypatch.setattr(without_httpx, "probe_interpreters_for_module", lambda _paths, _module: None)
    result = run_module("flexcore_health", url="http://127.0.0.1:1", proxy="http://127.0.0.1:2")
    assert "Failed to import the required Python library (httpx)" in result["msg"]
    assert "/opt/flexcore/current/bin/python" in result["msg"]
