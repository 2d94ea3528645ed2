"""Running the project's playbooks as an operator does, and reading what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
RECAP_LINE = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+ .*)$", re.MULTILINE)
TASK_LINE = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<task>.*)\] \**$")
PLAYBOOK_SECONDS = 900


@dataclass(frozen=True, slots=True)
class PlaybookRun:
    """One finished run: exit code, both outputs, and the counts of the recap by host."""

    exit_code: int
    output: str
    errors: str
    recap: Mapping[str, Mapping[str, int]]

    def count(self, what: str) -> int:
        """Sum of one count of the recap (ok, changed, failed, unreachable …) over all hosts."""
        return sum(counts[what] for counts in self.recap.values())

    @property
    def changed_tasks(self) -> list[str]:
        """The tasks that changed something, each as `task [host]`; loops name every item."""
        changed, task = [], ""
        for line in self.output.splitlines():
            if heading := TASK_LINE.match(line):
                task = heading["task"]
            elif line.startswith("changed: "):
                changed.append(f"{task} {line.removeprefix('changed: ')}")
        return changed


def run_playbook(
    playbook: str, *arguments: str, inventory: str, environment: Mapping[str, str] | None = None, check: bool = True
) -> PlaybookRun:
    """Run `playbooks/<playbook>`, or the one at an absolute path, and parse its recap.

    With `check`, a run that fails is an AssertionError that carries the whole output. Variables of the environment that
    would name another lab are replaced by `environment`.
    """
    done = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", inventory, Path("playbooks", playbook), *arguments],
        cwd=ROOT,
        env=os.environ | {"LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"} | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PLAYBOOK_SECONDS,
        check=False,
    )
    recap = {
        line["host"]: {name: int(count) for name, count in (pair.split("=") for pair in line["counts"].split())}
        for line in RECAP_LINE.finditer(done.stdout)
    }
    run = PlaybookRun(done.returncode, done.stdout, done.stderr, recap)
    assert not check or run.exit_code == 0, f"{playbook} on {inventory} failed:\n{run.output}\n{run.errors}"
    return run
