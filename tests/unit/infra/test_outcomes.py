"""The verification suite is never green for want of something to check."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from tests.infra import conftest
from tests.infra.inventory import InventoryError

ROOT = Path(__file__).resolve().parents[3]
# Stands for ssh: `good` does whatever it is told, every other host refuses.
SSH = """#!/bin/sh
case "$*" in
  *" good "*|*" good") exit 0 ;;
  *) echo "ssh: connect to host: Connection refused" >&2; exit 255 ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which the one host that answers is called `good`."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH)
    program.chmod(0o755)
    return os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def verify(tmp_path: Path, environment: dict[str, str], groups: str, *arguments: str) -> tuple[int, str]:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(groups)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "--inventory", inventory],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_no_inventory_is_an_error() -> None:
    config = create_autospec(pytest.Config, instance=True)
    config.getoption.return_value = None
    with pytest.raises(pytest.UsageError, match="add --inventory"):
        conftest.pytest_configure(config)


def test_an_inventory_without_our_groups_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("web: {hosts: {web1: }}\n")
    with pytest.raises(InventoryError, match="no host in any of the groups postgresql, redis, flexcore, monitoring"):
        conftest.Run(str(tmp_path))


def test_no_answering_host_is_an_error_with_the_reason(tmp_path: Path, environment: dict[str, str]) -> None:
    code, said = verify(tmp_path, environment, "redis: {hosts: {bad: }}\n", "tests/infra")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "bad: ssh: connect to host: Connection refused" in said


def test_a_silent_host_fails_the_run_that_selected_only_its_checks(tmp_path: Path, environment: dict[str, str]) -> None:
    groups = "redis: {hosts: {bad: }}\nflexcore: {hosts: {good: }}\n"
    code, said = verify(tmp_path, environment, groups, "tests/infra/redis")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "bad: unreachable, so nothing else about it was checked" in said
