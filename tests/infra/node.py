"""A host under verification: its inventory variables, testinfra's view of it, and probes that run on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import testinfra
from testinfra.host import Host

from tests.infra.connection import Connections
from tests.infra.contract import CORRELATION_ID
from tests.infra.inventory import HostVariables, Secret

PROBES = Path(__file__).parent / "probes"
PROBE_TIMEOUT_SECONDS = 60
JOURNAL_LINES = 12
JOURNAL_WIDTH = 400


class ProbeError(Exception):
    """A probe did not end with an answer; the message names it, the host and what it said last."""


class Node:
    """One inventory host. What it says is asked once: the answers of its probes are kept for the whole run."""

    def __init__(self, name: str, variables: HostVariables, connections: Connections) -> None:
        self.name = name
        self.variables = variables
        self._connections = connections
        self._answers: dict[str, tuple[Any, str | None]] = {}

    def __repr__(self) -> str:
        return f"<host {self.name}>"

    @cached_property
    def testinfra(self) -> Host:
        """testinfra's host, over the connection that the probes use too. It acts as root."""
        return testinfra.get_host(
            f"ssh://{self.name}", ssh_config=str(self._connections.config), sudo=True, controlpersist=0
        )

    def probe(self, name: str, *, user: str = "root", python: str = "/usr/bin/python3", **arguments: Any) -> Any:
        """Run the probe `probes/<name>.py` on the host as `user` and return what its `collect(**arguments)` returns.

        A probe is one round trip and read-only. Program and arguments travel on standard input, so that no secret
        among them stands in a process list, an environment or a file. Raises ProbeError, and does so again without
        another round trip: a server that hangs is waited for once.
        """
        question = f"{name} {arguments}"
        if question not in self._answers:
            command = self._connections.command(self.name, f"sudo -n -u {user} {python} -I -")
            self._answers[question] = _converse(command, PROBES / f"{name}.py", arguments)
        answer, problem = self._answers[question]
        if problem:
            raise ProbeError(f"{self.name}: the probe {name} failed: {problem}")
        return answer

    def journal(self, unit: str) -> str:
        """The last lines that `unit` logged, without what it logged about being verified."""
        logged = self.testinfra.run("journalctl --no-pager --unit %s --lines 200", unit).stdout
        others = [line for line in logged.splitlines() if f'"correlation_id":"{CORRELATION_ID}"' not in line]
        return "\n".join(line[:JOURNAL_WIDTH] for line in others[-JOURNAL_LINES:])


def _converse(command: list[str], probe: Path, arguments: dict[str, Any]) -> tuple[Any, str | None]:
    """Run a probe: what it answered, or the problem in words without a secret.

    It raises nothing, because the frame that holds the revealed secrets must not stand in a traceback.
    """
    plain = json.dumps(arguments, default=Secret.reveal)
    program = f"{probe.read_text()}\n\nimport json\nprint(json.dumps(collect(**json.loads({plain!r}))))\n"
    try:
        answer = subprocess.run(
            command, input=program, capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=False
        )
        if answer.returncode == 0:
            return json.loads(answer.stdout), None
    except subprocess.TimeoutExpired:
        return None, f"no answer within {PROBE_TIMEOUT_SECONDS} s"
    except json.JSONDecodeError:
        return None, "it answered, but not with JSON"
    problem = f"exit status {answer.returncode}: {(answer.stderr.strip() or 'no message').splitlines()[-1]}"
    for secret in _secrets(arguments):
        problem = problem.replace(secret.reveal(), "***")
    return None, problem


def _secrets(arguments: Any) -> Iterator[Secret]:
    if isinstance(arguments, Secret):
        yield arguments
    elif isinstance(arguments, dict | list):
        for value in arguments.values() if isinstance(arguments, dict) else arguments:
            yield from _secrets(value)
