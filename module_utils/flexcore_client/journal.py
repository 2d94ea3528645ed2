"""FlexCore's log from the host's journal, for servers that do not serve it or are dead."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from .clock import Clock
from .errors import ClientError, FailureKind
from .log_query import LogQuery
from .models import LogRecord
from .normalise import json_record, timestamp
from .text import printable

# A level that is rare in a chatty journal ends the search here, and the result says that it was cut.
MOST_ENTRIES = 100_000
LEVEL_OF_PRIORITY = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")


@dataclass(frozen=True)
class JournalRead:
    """The records, newest last; ``truncated`` when the search ended before the journal did."""

    records: list[LogRecord]
    truncated: bool


def read_journal(
    unit: str, query: LogQuery, *, timeout: float, clock: Clock, journalctl: str = "journalctl"
) -> JournalRead:
    """Read the newest records of ``unit`` that ``query`` asks for, within ``timeout`` seconds.

    Reads backwards and stops as soon as there are enough, so that the size of the journal does not matter.
    Raises ClientError (unsupported) where there is no journal, or none that this user may read.
    """
    what = f"Reading the journal of {unit}"
    program = shutil.which(journalctl)
    if program is None:
        raise ClientError(
            FailureKind.UNSUPPORTED,
            what=what,
            reason="this host has no journalctl",
            next_step="Read the log over HTTP (source: http).",
        )
    # Without --all, journalctl leaves out every field above 4 KiB.
    command = [program, "--unit", unit, "--output", "json", "--all", "--reverse", "--no-pager", "--quiet"]
    if query.since is not None:
        command += ["--since", f"@{query.since.timestamp():.6f}"]
    if query.until is not None:
        command += ["--until", f"@{query.until.timestamp():.6f}"]
    found: list[LogRecord] = []
    truncated = False
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said)  # noqa: S603, a list and no shell
        try:
            for number, entry in enumerate(_entries(process, timeout, clock), start=1):
                record = _record(entry)
                if record is not None and query.matches(record):
                    found.append(record)
                if len(found) == query.lines or number == MOST_ENTRIES:
                    truncated = number == MOST_ENTRIES
                    break
            else:
                _check_end(process, said, what)
        except TimeoutError:
            truncated = True
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
    return JournalRead(found[::-1], truncated)


def _entries(process: subprocess.Popen[bytes], timeout: float, clock: Clock) -> Iterator[dict[str, Any]]:
    """Yield journal entries; raises TimeoutError when the time is over."""
    end = clock.monotonic() + timeout
    pending = b""
    stdout = process.stdout
    if stdout is None:
        return
    while True:
        left = end - clock.monotonic()
        if left <= 0 or not select.select([stdout], [], [], left)[0]:
            raise TimeoutError
        part = os.read(stdout.fileno(), 1 << 16)
        if not part:
            return
        *lines, pending = (pending + part).split(b"\n")
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def _record(entry: dict[str, Any]) -> LogRecord | None:
    message = _text(entry.get("MESSAGE"))
    if message is None:
        return None
    if record := json_record(message):
        return record
    stamp, priority = str(entry.get("__REALTIME_TIMESTAMP")), str(entry.get("PRIORITY"))
    return LogRecord(
        timestamp=timestamp(int(stamp) / 1_000_000) if stamp.isdigit() else None,
        level=LEVEL_OF_PRIORITY[int(priority)] if priority in set("01234567") else None,
        message=message,
        component=str(entry.get("SYSLOG_IDENTIFIER") or "") or None,
    )


def _text(value: Any) -> str | None:
    """Return the text of a field, of which journalctl makes a list when it is not UTF-8 or an entry has it twice."""
    if not isinstance(value, list):
        return value if isinstance(value, str) else None
    if all(isinstance(part, int) for part in value):
        return bytes(value).decode("utf-8", "replace")
    return " ".join(text for text in map(_text, value) if text is not None)


def _check_end(process: subprocess.Popen[bytes], said: IO[bytes], what: str) -> None:
    status = process.wait()
    said.seek(0)
    words = printable(said.read(4096).decode("utf-8", "replace"))
    if status != 0 or "insufficient permissions" in words or "No journal files" in words:
        raise ClientError(
            FailureKind.UNSUPPORTED,
            what=what,
            reason=words or f"journalctl ended with status {status}",
            next_step="Run as root (become: true) or as a member of the group systemd-journal.",
        )
