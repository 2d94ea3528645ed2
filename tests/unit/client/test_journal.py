"""The journal is read backwards, as far as needed, and what it holds becomes records."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.clock import SystemClock
from flexcore_client.connection import Connection
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.journal import JournalRead, read_journal
from flexcore_client.log_query import LogQuery
from flexcore_client.logs import LogPlaces, read_logs
from flexcore_client.targets import parse_targets

from tests.doubles import dialects
from tests.doubles.http_double import serving


def entry(message: Any, number: int = 0, priority: str = "6") -> dict[str, Any]:
    stamp = 1_763_640_000_000_000 + number * 1_000_000
    return {
        "MESSAGE": message,
        "__REALTIME_TIMESTAMP": str(stamp),
        "PRIORITY": priority,
        "SYSLOG_IDENTIFIER": "flexcore",
    }


def line(level: str, message: str) -> str:
    return json.dumps({"timestamp": "2025-11-20T12:00:00Z", "level": level, "message": message, "fields": {"a": 1}})


class Journal:
    """A program that stands in for journalctl: it notes its arguments and prints what it was given."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "journalctl"
        self._directory = directory

    def holds(self, *entries: dict[str, Any], said: str = "", status: int = 0, then: str = "") -> str:
        (self._directory / "entries").write_text("".join(json.dumps(e) + "\n" for e in entries))
        directory = shlex.quote(str(self._directory))
        self.program.write_text(
            f'#!/bin/sh\necho "$@" > {directory}/arguments\ncat {directory}/entries\n'
            f"echo -n {shlex.quote(said)} >&2\n{then}\nexit {status}\n"
        )
        self.program.chmod(0o755)
        return str(self.program)

    @property
    def arguments(self) -> list[str]:
        return (self._directory / "arguments").read_text().split()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def read(program: str, query: LogQuery, timeout: float = 5.0) -> JournalRead:
    return read_journal("flexcore.service", query, timeout=timeout, clock=SystemClock(), journalctl=program)


def test_records_are_newest_last_and_in_one_form(journal: Journal) -> None:
    program = journal.holds(
        entry(line("error", "third")), entry("plain text", 2, "3"), entry([104, 105, 255], 1), entry(None), {"A": 1}
    )
    records = read(program, LogQuery()).records
    assert [(r.level, r.message, r.timestamp) for r in records] == [
        ("info", "hi\ufffd", "2025-11-20T12:00:01.000Z"),
        ("error", "plain text", "2025-11-20T12:00:02.000Z"),
        ("error", "third", "2025-11-20T12:00:00.000Z"),
    ]
    assert records[2].fields == {"a": 1}
    assert records[1].component == "flexcore"


def test_the_newest_are_kept_and_the_level_is_the_least(journal: Journal) -> None:
    program = journal.holds(*(entry(line(("info", "error")[n % 2], f"m{n}")) for n in range(10)))
    read_back = read(program, LogQuery(lines=2, level="warning"))
    assert [record.message for record in read_back.records] == ["m3", "m1"]
    assert not read_back.truncated


def test_what_is_asked_of_journalctl(journal: Journal) -> None:
    program = journal.holds()
    read(program, LogQuery(since=datetime(2026, 1, 1, tzinfo=UTC)))
    assert journal.arguments[:4] == ["--unit", "flexcore.service", "--output", "json"]
    assert {"--all", "--reverse", "--no-pager"} <= set(journal.arguments)
    assert journal.arguments[-2:] == ["--since", "@1767225600.000000"]


def test_a_journal_that_hangs_gives_what_it_gave(journal: Journal) -> None:
    read_back = read(journal.holds(entry("one"), then="exec sleep 60"), LogQuery(), timeout=0.5)
    assert ([r.message for r in read_back.records], read_back.truncated) == (["one"], True)


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ("No journal files were opened due to insufficient permissions.", 1, "insufficient permissions"),
        ("No journal files were found.", 0, "No journal files were found"),
        ("", 3, "ended with status 3"),
    ],
)
def test_a_journal_that_may_not_be_read(journal: Journal, said: str, status: int, words: str) -> None:
    with pytest.raises(ClientError, match=words) as caught:
        read(journal.holds(said=said, status=status), LogQuery())
    assert caught.value.kind is FailureKind.UNSUPPORTED
    assert "become: true" in str(caught.value)


def test_a_host_without_a_journal() -> None:
    with pytest.raises(ClientError, match="this host has no journalctl"):
        read("/nowhere/journalctl", LogQuery())


@pytest.fixture
def on_path(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("PATH", str(journal.program.parent), prepend=":")
    return journal


def logs_of(routes: Any, source: str) -> Any:
    with serving(routes) as double:
        return read_logs(
            LogPlaces(parse_targets([{"url": double.url}])[0], "flexcore.service"),
            LogQuery(lines=1),
            source=source,
            connection=Connection(),
            clock=SystemClock(),
        )


def test_auto_prefers_the_server(on_path: Journal) -> None:
    on_path.holds(entry("from the journal"))
    found = logs_of(dialects.flexcore_v1(), "auto")
    assert (found.source, found.records[0].message, found.fallback_reason) == ("http", "record 1", None)


def test_auto_falls_back_to_the_journal_and_says_why(on_path: Journal) -> None:
    on_path.holds(entry("from the journal"))
    found = logs_of(dialects.seed_2025(), "auto")
    assert (found.source, found.records[0].message) == ("journald", "from the journal")
    assert "does not offer its logs over HTTP" in found.fallback_reason


def test_auto_tells_both_reasons_when_neither_gives_logs(on_path: Journal) -> None:
    on_path.holds(said="No journal files were found.")
    with pytest.raises(ClientError, match=r"does not offer .* Reading the journal .* failed too: No journal files"):
        logs_of(dialects.seed_2025(), "auto")


def test_http_never_reads_the_journal(on_path: Journal) -> None:
    on_path.holds(entry("from the journal"))
    with pytest.raises(ClientError, match="does not offer its logs"):
        logs_of(dialects.seed_2025(), "http")
