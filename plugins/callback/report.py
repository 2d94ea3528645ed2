"""Prints what a playbook reports, and what failed, and nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible.plugins.callback import CallbackBase
from flexcore_client.report_printer import print_report
from flexcore_client.text import printable

DOCUMENTATION = r"""
name: report
type: stdout
short_description: Print the report of a playbook and its failures only
description:
  - For playbooks whose purpose is an answer, such as C(playbooks/health.yml). They publish a C(report) with
    M(ansible.builtin.set_stats), and this callback prints it when the playbook ends.
  - With the extra variable C(format=json), standard output is exactly one JSON document, also when there is no report.
  - Failures and warnings go to standard error, one line each.
"""


class CallbackModule(CallbackBase):
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "report"

    def __init__(self) -> None:
        super().__init__()
        self._failures: list[str] = []
        self._as_json = False

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Learn in which form the operator wants the report."""
        self._as_json = play.get_variable_manager().extra_vars.get("format") == "json"

    def v2_runner_on_ok(self, result: Any) -> None:
        """Pass a module's warnings on."""
        self._handle_warnings(result.result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Keep a failure that counts."""
        self._handle_warnings(result.result)
        if not ignore_errors:
            self._keep(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Keep an unreachable host, unless the play reports it itself."""
        if not result.task.ignore_unreachable:
            self._keep(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the report, then the failures."""
        report = stats.custom.get("_run", {}).get("report")
        if self._as_json:
            json.dump(report or {"report": None, "failures": self._failures}, sys.stdout, indent=2)
            sys.stdout.write("\n")
        elif report is not None:
            print_report(report, sys.stdout)
        sys.stdout.flush()
        for failure in self._failures:
            self._display.display(failure, color="red", stderr=True)

    def _keep(self, result: Any) -> None:
        message = printable(str(result.result.get("msg", "no reason given")), limit=2000)
        self._failures.append(f"{result.task.get_name()} [{result.host.get_name()}]: {message}")
