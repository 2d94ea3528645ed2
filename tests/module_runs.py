"""Runs the modules of library/ in this process, as Ansible would run them on a host."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils import _internal, basic
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
from flexcore_client.connection import ENVIRONMENT

from tests.unit.modules.documentation import block
from tests.unit.modules.returned import disagreements

ROOT = Path(__file__).resolve().parents[1]
RunMain = Callable[..., dict[str, Any]]
RunModule = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def project_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the client importable where Ansible puts it, and keep this machine's settings out."""
    monkeypatch.setattr(ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(ROOT / "module_utils")])
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def host_log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What modules write to the log of the host they run on, which here is this list."""
    lines: list[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(basic.AnsibleModule, "_log_to_syslog", lambda _module, message: lines.append(message))
    return lines


@pytest.fixture
def run_main(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunMain:
    """Return a function that calls what a module starts with, and gives what that returns to Ansible."""

    def run(main: Callable[[], None], /, check_mode: bool = False, **arguments: Any) -> dict[str, Any]:
        # A module is a process of its own on a host; here each would inherit the warnings of those before it.
        monkeypatch.setattr(warnings, "_global_warnings", {})
        # Tests of the inventory make this process a controller, where warnings go to the display.
        monkeypatch.setattr(_internal, "is_controller", False)
        with patch_module_args({**arguments, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit) as ended:
            main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert bool(ended.value.code) == bool(result.get("failed"))
        return result

    return run


@pytest.fixture
def run_module(run_main: RunMain) -> RunModule:
    """Return a function that runs a module with arguments and gives what it returns to Ansible."""

    def run(name: str, /, check_mode: bool = False, **arguments: Any) -> dict[str, Any]:
        result = run_main(importlib.import_module(f"library.{name}").main, check_mode, **arguments)
        wrong = disagreements(result, block(ROOT / "library" / f"{name}.py", "RETURN"))
        assert not wrong, f"{name} returns what its documentation does not say: {wrong}"
        return result

    return run
