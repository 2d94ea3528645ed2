"""FlexCore's log from a file of the host: JSON lines, or text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from .clock import Clock, Deadline
from .errors import ClientError, FailureKind
from .log_query import LogQuery
from .models import LogRecord
from .normalise import json_record, log_record

BLOCK = 1 << 16
# A pattern that is rare in a huge file ends the search here, and the result says that it was cut.
MOST_BYTES = 256 << 20
LONGEST_LINE = 1 << 20


def read_log_file(path: str, query: LogQuery, *, timeout: float, clock: Clock) -> tuple[list[LogRecord], bool]:
    """Return the newest records of the file that ``query`` asks for, newest last, and whether the search was cut.

    Reads backwards and stops as soon as there are enough, so that the size of the file does not matter. Raises
    ClientError (unsupported) for a file that cannot be read.
    """
    deadline, found = Deadline(clock, timeout), list[LogRecord]()
    try:
        with open(path, "rb") as file:  # noqa: PTH123, a Path opens in the same way
            for end, lines in _blocks_backwards(file):
                for line in lines:
                    record = _record(line)
                    if record is not None and query.matches(record):
                        found.append(record)
                    if len(found) == query.lines:
                        return found[::-1], False
                if deadline.remaining == 0 or end >= MOST_BYTES:
                    return found[::-1], True
    except OSError as error:
        raise ClientError(
            FailureKind.UNSUPPORTED,
            what=f"Reading the log file {path}",
            reason=str(error.strerror or error),
            next_step="Name a file that is there (option path), and run as a user who may read it (become: true).",
        ) from None
    return found[::-1], False


def _blocks_backwards(file: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the bytes read so far and the lines that each block completes, the last one first, from the file's end."""
    size = end = file.seek(0, os.SEEK_END)
    rest = b""
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        rest = file.read(end - start) + rest
        end = start
        first, *lines = rest.split(b"\n")
        yield size - end, lines[::-1]
        rest = first[-LONGEST_LINE:]
    if rest:
        yield size, [rest]


def _record(line: bytes) -> LogRecord | None:
    text = line.decode("utf-8", "replace").rstrip("\r")
    return json_record(text) or log_record(text) if text else None
