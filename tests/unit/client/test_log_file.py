"""The log from a file, newest last, without reading more of it than is needed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flexcore_client import log_file
from flexcore_client.clock import SystemClock
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.log_file import read_log_file
from flexcore_client.log_query import LogQuery, log_query

from tests.doubles.fake_clock import FakeClock

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def messages(path: Path, query: LogQuery) -> list[str]:
    return [record.message for record in read_log_file(str(path), query, timeout=5, clock=SystemClock())[0]]


def test_json_and_text_newest_last(tmp_path: Path) -> None:
    file = tmp_path / "log"
    records = [{"timestamp": "2026-11-20T11:00:00Z", "level": "error", "message": "one", "n": 1}, {"msg": "two"}]
    file.write_text("\n".join([*map(json.dumps, records), "plain text", "", "{not json"]) + "\n")
    found, cut = read_log_file(str(file), LogQuery(), timeout=5, clock=SystemClock())
    assert [record.message for record in found] == ["one", "two", "plain text", "{not json"]
    assert (found[0].level, found[0].fields, cut) == ("error", {"n": 1}, False)


def test_lines_longer_than_a_block_and_blocks_that_end_within_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 7)
    file = tmp_path / "log"
    lines = ["a" * 30, "b", "c" * 8, "d" * 7]
    file.write_text("\n".join(lines))
    assert messages(file, LogQuery()) == lines
    assert messages(file, LogQuery(lines=2)) == lines[-2:]


def test_the_newest_of_a_large_file_are_found_without_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as stream:
        stream.truncate(8 << 30)
        stream.seek(0, 2)
        stream.write(b"\nlast\n")
    assert messages(file, LogQuery(lines=1)) == ["last"]


def test_the_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "log"
    file.write_text("x\n" * 1000)
    monkeypatch.setattr(log_file, "BLOCK", 64)
    monkeypatch.setattr(log_file, "MOST_BYTES", 128)
    query = log_query(5, None, None, NOW, pattern="never")
    assert read_log_file(str(file), query, timeout=5, clock=SystemClock()) == ([], True)
    assert read_log_file(str(file), query, timeout=0, clock=FakeClock()) == ([], True)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ClientError, match="No such file") as caught:
        messages(Path("/nowhere/log"), LogQuery())
    assert caught.value.kind is FailureKind.UNSUPPORTED
