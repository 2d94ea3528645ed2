"""The log from a file, newest last, without reading more of it than is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flexcore_client import log_file
from flexcore_client.clock import SystemClock
from flexcore_client.errors import ClientError, FailureKind
from flexcore_client.log_file import read_log_file
from flexcore_client.log_query import LogQuery

from tests.doubles.fake_clock import FakeClock


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


def numbered(tmp_path: Path) -> tuple[Path, list[str]]:
    """A file of four blocks of 64 bytes, the last line without an end."""
    lines = [f"{number:03}" for number in range(50)]
    file = tmp_path / "log"
    file.write_text("\n".join(lines))
    return file, lines


def test_the_search_ends_after_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 64)
    monkeypatch.setattr(log_file, "MOST_BYTES", 128)
    file, lines = numbered(tmp_path)
    found, cut = read_log_file(str(file), LogQuery(), timeout=5, clock=FakeClock())
    assert ([record.message for record in found], cut) == (lines[18:], True)
    file.write_text("x" * 200)
    assert read_log_file(str(file), LogQuery(), timeout=5, clock=FakeClock()) == ([], True)


def test_the_search_ends_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 64)
    file, lines = numbered(tmp_path)
    found, cut = read_log_file(str(file), LogQuery(), timeout=0, clock=FakeClock())
    assert ([record.message for record in found], cut) == (lines[34:], True)
    assert read_log_file(str(file), LogQuery(), timeout=1, clock=FakeClock())[1] is False


def test_enough_is_not_cut(tmp_path: Path) -> None:
    file, lines = numbered(tmp_path)
    found, cut = read_log_file(str(file), LogQuery(lines=2), timeout=5, clock=FakeClock())
    assert ([record.message for record in found], cut) == (lines[-2:], False)


def test_of_a_line_that_is_too_long_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "BLOCK", 4)
    monkeypatch.setattr(log_file, "LONGEST_LINE", 8)
    file = tmp_path / "log"
    file.write_text("first\n" + "x" * 80 + "end\nlast")
    assert messages(file, LogQuery()) == ["first", "x" * 5 + "end", "last"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"x", "x"),
        (b"carriage return\r\n", "carriage return"),
        (b"  indented, and blank at the end  \r\n", "  indented, and blank at the end  "),
        (b"MAX\r\n", "MAX"),
        (b"caf\xe9\n", "caf\ufffd"),
        (b'{"a":' * 100_000 + b"\n", '{"a":' * 100_000),
    ],
)
def test_a_line_of_text_is_a_message_whatever_it_holds(tmp_path: Path, written: bytes, message: str) -> None:
    file = tmp_path / "log"
    file.write_bytes(written)
    assert messages(file, LogQuery()) == [message]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ClientError) as caught:
        messages(Path("/nowhere/log"), LogQuery())
    assert caught.value.kind is FailureKind.UNSUPPORTED
    assert str(caught.value) == (
        "Reading the log file /nowhere/log: No such file or directory. "
        "Name a file that is there (option path), and run as a user who may read it (become: true)."
    )
