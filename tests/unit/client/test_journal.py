"""The journal is read backwards, as far as needed, and what it holds becomes records."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flexcore_client import journal as module
from flexcore_client.clock import SystemClock
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.journal import JournalRead, read_journal
from flexcore_client.log_query import LogQuery
from flexcore_client.models import LogRecord

from tests.doubles.fake_clock import FakeClock


def entry(message: Any, number: int = 0, priority: Any = "6") -> dict[str, Any]:
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
        self.entries = directory / "entries"
        self._directory = directory

    def holds(self, *entries: Any, said: str = "", status: int = 0, then: str = "") -> str:
        self.entries.write_text("".join(json.dumps(e) + "\n" for e in entries))
        directory = shlex.quote(str(self._directory))
        self.program.write_text(
            f'#!/bin/sh\necho "$@" > {directory}/arguments\ncat {directory}/entries\n'
            f"echo -n {shlex.quote(said)} >&2\n{then}\nexit {status}\n",
            errors="surrogateescape",
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
        entry(line("error", "third")),
        entry("plain text", 2, "3"),
        entry([104, 105, 255], 1),
        entry(None),
        entry(7),
        {"A": 1},
    )
    plain: dict[str, Any] = {"component": "flexcore", "correlation_id": None, "node_id": None, "fields": {}}
    assert read(program, LogQuery()).records == [
        LogRecord("2025-11-20T12:00:01.000Z", "info", "hi\ufffd", **plain),
        LogRecord("2025-11-20T12:00:02.000Z", "error", "plain text", **plain),
        LogRecord("2025-11-20T12:00:00.000Z", "error", "third", fields={"a": 1}),
    ]


def test_a_message_that_an_entry_has_twice_is_told_in_full(journal: Journal) -> None:
    program = journal.holds(entry(["one", "two"]), entry([[104, 255], None, "x"]), entry([]))
    assert [record.message for record in read(program, LogQuery()).records] == ["", "h\ufffd x", "one two"]


def test_priorities_become_levels(journal: Journal) -> None:
    levels = {
        "0": "critical",
        "1": "critical",
        "2": "critical",
        "3": "error",
        "4": "warning",
        "5": "info",
        "6": "info",
        "7": "debug",
    }
    none = ["8", "12", "X", "", None, ["6", "3"]]
    program = journal.holds(*(entry("said", priority=priority) for priority in [*levels, *none]))
    assert [record.level for record in read(program, LogQuery()).records[::-1]] == [*levels.values(), *[None] * 6]


def test_a_message_that_is_no_json_is_text_however_long(journal: Journal) -> None:
    messages = ["{not json", '{"a":' * 100_000, "x" * 300_000]
    program = journal.holds(*({"MESSAGE": message, "__REALTIME_TIMESTAMP": "soon"} for message in messages))
    assert read(program, LogQuery()).records[::-1] == [
        LogRecord(timestamp=None, level=None, message=message) for message in messages
    ]


def test_output_that_is_no_entry_is_passed_over(journal: Journal) -> None:
    program = journal.holds(entry("newer"), 7, ["MESSAGE"], "-- Boot --", None, entry("older"))
    with journal.entries.open("a") as entries:
        entries.write(f"-- Boot --\n{json.dumps(entry('oldest'))}\n")
    assert [record.message for record in read(program, LogQuery()).records] == ["oldest", "older", "newer"]


def test_the_newest_are_kept_and_the_level_is_the_least(journal: Journal) -> None:
    program = journal.holds(*(entry(line(("info", "error")[n % 2], f"m{n}")) for n in range(10)))
    read_back = read(program, LogQuery(lines=2, level="warning"))
    assert [record.message for record in read_back.records] == ["m3", "m1"]
    assert not read_back.truncated


@pytest.mark.parametrize(("lines", "messages", "truncated"), [(9, ["m2", "m1", "m0"], True), (2, ["m1", "m0"], False)])
def test_the_search_ends_after_so_many_entries(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, lines: int, messages: list[str], truncated: bool
) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    read_back = read(journal.holds(*(entry(f"m{n}") for n in range(5))), LogQuery(lines=lines))
    assert ([record.message for record in read_back.records], read_back.truncated) == (messages, truncated)


def test_what_is_asked_of_journalctl(journal: Journal) -> None:
    program = journal.holds()
    always = ["--unit", "flexcore.service", "--output", "json", "--all", "--reverse", "--no-pager", "--quiet"]
    assert read(program, LogQuery()) == JournalRead([], truncated=False)
    assert journal.arguments == always
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1500, tzinfo=UTC)
    read(program, LogQuery(since=since, until=until))
    assert journal.arguments == [*always, "--since", "@1767225600.000000", "--until", "@1767225600.001500"]


def test_a_journal_that_hangs_gives_what_it_gave(journal: Journal) -> None:
    read_back = read(journal.holds(entry("one"), then="exec sleep 60"), LogQuery(), timeout=0.5)
    assert ([r.message for r in read_back.records], read_back.truncated) == (["one"], True)


def test_without_time_nothing_is_read(journal: Journal) -> None:
    read_back = read_journal(
        "flexcore.service", LogQuery(), timeout=0, clock=FakeClock(), journalctl=journal.holds(entry("one"))
    )
    assert read_back == JournalRead([], truncated=True)


FORBIDDEN = "No journal files were opened due to insufficient permissions."


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (FORBIDDEN, 1, FORBIDDEN),
        ("Hint: not seeing messages of others for insufficient permissions", 0, None),
        ("No journal files were found.", 0, None),
        ("caf\udce9", 3, "caf\ufffd"),
        ("", 3, "journalctl ended with status 3"),
    ],
)
def test_a_journal_that_may_not_be_read(journal: Journal, said: str, status: int, reason: str | None) -> None:
    with pytest.raises(ClientError) as caught:
        read(journal.holds(entry("one"), said=said, status=status), LogQuery())
    error = caught.value
    assert (error.kind, error.what) == (FailureKind.UNSUPPORTED, "Reading the journal of flexcore.service")
    assert (error.reason, error.next_step) == (
        reason or said,
        "Run as root (become: true) or as a member of the group systemd-journal.",
    )


def test_words_of_journalctl_that_are_no_refusal_are_passed_over(journal: Journal) -> None:
    assert len(read(journal.holds(entry("one"), said="Journal file is truncated, ignoring."), LogQuery()).records) == 1


def test_a_host_without_a_journal() -> None:
    with pytest.raises(ClientError) as caught:
        read("/nowhere/journalctl", LogQuery())
    assert caught.value.kind is FailureKind.UNSUPPORTED
    assert str(caught.value) == (
        "Reading the journal of flexcore.service: this host has no journalctl. Read the log over HTTP (source: http)."
    )
