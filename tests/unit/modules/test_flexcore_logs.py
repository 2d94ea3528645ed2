"""The module flexcore_logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.doubles import dialects
from tests.doubles.http_double import serving
from tests.unit.modules.conftest import RunModule


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a journal with one record in the place of this machine's."""
    program = tmp_path / "journalctl"
    entry = json.dumps({"MESSAGE": "from the journal", "PRIORITY": "4", "_SYSTEMD_UNIT": "flexcore.service"})
    program.write_text(f"#!/bin/sh\necho '{entry}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_over_http(run_module: RunModule) -> None:
    with serving(dialects.flexcore_v1()) as double:
        result = run_module("flexcore_logs", url=double.url, lines=2, level="info", since="2026-01-01T00:00:00Z")
    assert (result["source"], result["truncated"], result["changed"]) == ("http", False, False)
    assert [record["message"] for record in result["records"]] == ["record 1", "record 2"]
    assert double.seen[0].query == {"lines": "2", "level": "info", "since": "2026-01-01T00:00:00.000Z"}


def test_from_the_journal(run_module: RunModule) -> None:
    result = run_module("flexcore_logs", source="journald")
    assert (result["source"], result["records"][0]["level"]) == ("journald", "warning")


def test_without_an_address_auto_reads_the_journal(run_module: RunModule) -> None:
    result = run_module("flexcore_logs")
    assert result["source"] == "journald"
    assert "warnings" not in result


def test_auto_falls_back_with_a_warning(run_module: RunModule) -> None:
    with serving(dialects.seed_2025()) as double:
        result = run_module("flexcore_logs", url=double.url)
    assert result["source"] == "journald"
    assert any("does not offer its logs over HTTP" in str(warning) for warning in result["warnings"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"source": "http"}, "url is missing"),
        ({"lines": 0}, "allowed are 1 to 10000"),
        ({"since": "yesterday"}, "allowed are a time such as"),
    ],
)
def test_wrong_arguments(run_module: RunModule, arguments: dict[str, str], words: str) -> None:
    assert words in run_module("flexcore_logs", **arguments)["msg"]
