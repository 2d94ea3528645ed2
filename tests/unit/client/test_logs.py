"""A log is read from the first place that gives one, and every place that does not says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.connection import Connection
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.log_query import LogQuery
from flexcore_client.logs import LogPlaces, LogRead, read_logs
from flexcore_client.models import LogRecord
from flexcore_client.targets import parse_targets

from tests.doubles import dialects
from tests.doubles.fake_clock import FakeClock
from tests.doubles.http_double import HttpDouble, Reply, serving

NO_JOURNAL = "No journal files were found."


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a journal with one record in the place of this machine's."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{json.dumps({'MESSAGE': 'from the journal'})}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return program


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_text("from the file\n")
    return path


def read(
    double: HttpDouble | None,
    path: Path | None = None,
    source: str = "auto",
    unit: str | None = "core.service",
    clock: FakeClock | None = None,
) -> LogRead:
    target = parse_targets([{"url": double.url}], token="a-token")[0] if double else None
    places = LogPlaces(target, unit, str(path) if path else None)
    clock = clock or FakeClock()
    return read_logs(places, LogQuery(lines=1), source=source, connection=Connection(), clock=clock)


def record(message: str) -> LogRecord:
    return LogRecord(timestamp=None, level=None, message=message)


def test_auto_prefers_the_server(journalctl: Path, file: Path) -> None:
    with serving(dialects.s0_client()) as double:
        assert read(double, file) == LogRead([record("line 0")], "http", False, None)
        assert {seen.headers["authorization"] for seen in double.seen} == {"Bearer a-token"}


def test_a_server_that_is_busy_is_asked_again_when_the_clock_says_so() -> None:
    replies, clock = iter([Reply("", 503)]), FakeClock()
    late = Reply({"logs": ["late"]})
    with serving({**dialects.s0_client(), "/api/v1/logs": lambda seen: next(replies, late)}) as double:
        assert read(double, source="http", clock=clock) == LogRead([record("late")], "http", False, None)
    assert len(clock.slept) == 1


HTTP_STEP = "Use a server that offers it, or another source."
JOURNAL_STEP = "Run as root (become: true) or as a member of the group systemd-journal."
FILE_STEP = "Name a file that is there (option path), and run as a user who may read it (become: true)."


def no_logs(double: HttpDouble) -> str:
    return f"Asking {double.url}: this server does not offer its logs over HTTP. {HTTP_STEP}"


def test_auto_goes_on_to_the_next_place_and_says_why(journalctl: Path, file: Path) -> None:
    with serving(dialects.seed_2025()) as double:
        server = no_logs(double)
        assert read(double, file) == LogRead([record("from the journal")], "journald", False, server)
        journalctl.write_text(f"#!/bin/sh\necho '{NO_JOURNAL}' >&2\n")
        journal = f"Reading the journal of core.service: {NO_JOURNAL} {JOURNAL_STEP}"
        assert read(double, file) == LogRead([record("from the file")], "file", False, f"{server} {journal}")


def test_auto_tells_the_reasons_of_all_when_none_gives_a_log(journalctl: Path, tmp_path: Path) -> None:
    journalctl.write_text(f"#!/bin/sh\necho '{NO_JOURNAL}' >&2\n")
    missing = tmp_path / "missing"
    with serving({**dialects.s0_client(), "/api/v1/logs": Reply({"error": "boom"}, 500)}) as double:
        with pytest.raises(ClientError) as caught:
            read(double, missing)
        url = double.url
    error = caught.value
    assert str(error) == (
        f"GET {url}/api/v1/logs: answered 500: boom; "
        f"Reading the journal of core.service failed too: {NO_JOURNAL}; "
        f"Reading the log file {missing} failed too: No such file or directory. "
        f"Read the server's log for the cause. {JOURNAL_STEP} {FILE_STEP}"
    )
    assert (error.kind, error.http_status) == (FailureKind.API_ERROR, 500)
    assert isinstance(error.__cause__, ClientError)
    assert error.__cause__.what == f"Reading the log file {missing}"


def test_without_a_server_the_reasons_of_the_host_are_told(journalctl: Path, tmp_path: Path) -> None:
    journalctl.write_text(f"#!/bin/sh\necho '{NO_JOURNAL}' >&2\n")
    missing = tmp_path / "missing"
    with pytest.raises(ClientError) as caught:
        read(None, missing)
    assert str(caught.value) == (
        f"Reading the journal of core.service: {NO_JOURNAL}; "
        f"Reading the log file {missing} failed too: No such file or directory. {JOURNAL_STEP} {FILE_STEP}"
    )


@pytest.mark.parametrize(
    ("source", "message"), [("http", "line 0"), ("journald", "from the journal"), ("file", "from the file")]
)
def test_a_source_that_is_named_is_the_only_one_read(source: str, message: str, journalctl: Path, file: Path) -> None:
    with serving(dialects.s0_client()) as double:
        assert read(double, file, source) == LogRead([record(message)], source, False, None)
        assert (double.seen == []) is (source != "http")


def test_a_source_that_is_named_and_fails_is_told_as_it_is(journalctl: Path, file: Path) -> None:
    with serving(dialects.seed_2025()) as double, pytest.raises(ClientError) as caught:
        read(double, file, "http")
    assert str(caught.value) == no_logs(double)
    assert caught.value.__cause__ is None


def test_a_place_that_is_not_given_is_not_looked_at(journalctl: Path, file: Path) -> None:
    assert read(None, file).source == "journald"
    assert read(None, file, unit=None) == LogRead([record("from the file")], "file", False, None)


@pytest.mark.parametrize(("source", "limit"), [("journald", "MOST_ENTRIES"), ("file", "MOST_BYTES")])
def test_a_search_that_was_cut_says_so(
    source: str, limit: str, journalctl: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = {"journald": "journal", "file": "log_file"}[source]
    monkeypatch.setattr(f"flexcore_client.{module}.{limit}", 1)
    assert read(None, file, source).truncated is True
