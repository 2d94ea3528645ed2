"""What holds of every module: documentation, specification, imports, the interpreter it runs under."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.connection import ENVIRONMENT

from tests.unit.modules.conftest import ROOT, RunModule
from tests.unit.modules.documentation import documented, plain
from tests.unit.modules.scenarios import SCENARIOS

MODULES = sorted(path.stem for path in (ROOT / "library").glob("*.py"))
CLIENT = sorted((ROOT / "module_utils" / "flexcore_client").glob("*.py"))
# What a module can be called with, beside an address.
REQUIRED = {scenario.module: scenario.arguments for scenario in reversed(SCENARIOS)}


def described(name: str) -> dict[str, Any]:
    options: dict[str, Any] = documented(ROOT / "library" / f"{name}.py")["options"]
    return options


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
def without_h11(project_modules: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make h11 unknown to this interpreter, and return where modules look for another."""
    base = importlib.import_module("ansible.module_utils.flexcore_client.ansible_module")
    for user in ("http_library", "http_connection", "http_proxy", "http_exchange"):
        monkeypatch.delitem(sys.modules, f"{base.__package__}.{user}", raising=False)
    monkeypatch.setitem(sys.modules, "h11", None)
    return base


@pytest.mark.parametrize("name", MODULES)
def test_without_h11_a_module_goes_on_under_flexcores_interpreter(
    name: str, without_h11: Any, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respawn(interpreter: str) -> None:
        sys.stdout.write(json.dumps({"respawned_under": interpreter}))
        raise SystemExit(0)

    monkeypatch.setattr(without_h11, "probe_interpreters_for_module", lambda paths, _module: paths[0])
    monkeypatch.setattr(without_h11, "respawn_module", respawn)
    result = run_module(name, url="http://127.0.0.1:1", **REQUIRED.get(name, {}))
    assert result == {"respawned_under": "/opt/flexcore/current/bin/python"}


@pytest.mark.parametrize("respawned", [False, True])
def test_without_h11_anywhere_it_says_what_is_missing(
    respawned: bool, without_h11: Any, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_h11, "has_respawned", lambda: respawned)
    monkeypatch.setattr(without_h11, "probe_interpreters_for_module", lambda _paths, _module: None)
    result = run_module("flexcore_health", url="http://127.0.0.1:1")
    assert "Failed to import the required Python library (h11)" in result["msg"]
    assert "/opt/flexcore/current/bin/python" in result["msg"]


def test_what_asks_no_server_over_http_needs_no_h11(without_h11: Any, run_module: RunModule) -> None:
    result = run_module("flexcore_health", targets=[{"url": "redis://127.0.0.1:1"}])
    assert result["targets"][0]["details"]["failure"] == "refused"


def environment_for(python: str, path: Path) -> Path:
    """Make what looks like a virtual environment of ``python`` with this one's libraries."""
    packages = path / "lib" / python / "site-packages"
    packages.parent.mkdir(parents=True)
    packages.symlink_to(sysconfig.get_path("purelib"), target_is_directory=True)
    return path


def import_h11(environment: Path) -> subprocess.CompletedProcess[str]:
    """Import it in an interpreter that has nothing but its standard library, as that of a managed host."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'module_utils')!r})\n"
        f"from flexcore_client import deployed; deployed.ENVIRONMENT = {str(environment)!r}\n"
        "from flexcore_client.http_library import h11; print(h11.__file__, sys.path[-1])"
    )
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)


def test_the_libraries_of_flexcores_environment_serve_a_host_of_the_same_python(tmp_path: Path) -> None:
    environment = environment_for("python{}.{}".format(*sys.version_info), tmp_path)
    found = import_h11(environment)
    assert found.stdout.startswith(str(environment)), found.stderr
    assert found.stdout.split()[1].endswith("/site-packages"), "the host's own libraries come first"


def test_those_of_another_python_do_not(tmp_path: Path) -> None:
    assert "No module named 'h11'" in import_h11(environment_for("python3.6", tmp_path)).stderr
