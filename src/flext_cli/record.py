"""The memory of the scheduled check: a bounded history of JSON lines, and the state that each service is in.

A run may be killed at any moment, and the disk may be full: the state is replaced in one step, a history line is
written in one step and cut off again if it was torn, and a lock keeps two runs from mixing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from flexcore_client.clock import rfc3339
from flexcore_client.models import ServiceHealth
from flexcore_client.normalise import parse_rfc3339

# Four days or so of a check every 15 s of three services, half of it in the file before this one.
HISTORY_BYTES = 8 * 1024 * 1024


class Record:
    """The files in one directory; use it as a context manager, which holds the lock."""

    def __init__(self, directory: Path, history_bytes: int = HISTORY_BYTES) -> None:
        self.history = directory / "history.jsonl"
        self.previous_history = directory / "history.1.jsonl"
        self.state = directory / "state.json"
        self._directory = directory
        self._history_bytes = history_bytes
        self._lock = -1

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._lock)

    def add(self, results: Sequence[ServiceHealth], moment: datetime) -> list[str]:
        """Record one check and return a sentence for each service whose state changed."""
        before = self._read_state()
        after, changes = {}, []
        for result in results:
            known = before.get(result.service_name)
            changed = known is None or known["status"] != result.status.value
            since = rfc3339(moment) if changed or known is None else known["since"]
            after[result.service_name] = {
                "status": result.status.value,
                "since": since,
                "cause": result.details["cause"],
            }
            if changed:
                changes.append(sentence(result, known, moment))
        self._append(history_line(results, moment))
        self._replace_state({"checked_at": rfc3339(moment), "services": after})
        return changes

    def _read_state(self) -> dict[str, dict[str, str]]:
        try:
            services = json.loads(self.state.read_bytes())["services"]
            # A state without a readable time or status is none at all.
            return {
                name: known for name, known in services.items() if known["status"] and parse_rfc3339(known["since"])
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            # Someone else's edit: without a state to compare with, this run counts as the first one.
            return {}

    def _replace_state(self, state: Mapping[str, Any]) -> None:
        fresh = self.state.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self.state)

    def _append(self, line: bytes) -> None:
        history = os.open(self.history, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            end = _without_torn_line(history)
            if end + len(line) > self._history_bytes and end > 0:
                self.history.replace(self.previous_history)
                os.close(history)
                history = os.open(self.history, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
                end = 0
            _write_line(history, line, end)
        finally:
            os.close(history)


def history_line(results: Sequence[ServiceHealth], moment: datetime) -> bytes:
    """Write one check as a line of JSON."""
    document = {
        "checked_at": rfc3339(moment),
        "healthy": all(result.healthy for result in results),
        "services": [result.to_row() for result in results],
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def sentence(result: ServiceHealth, known: Mapping[str, str] | None, moment: datetime) -> str:
    """Say what a service changed to, why, and what it was before."""
    cause = f" -> {result.details['cause']}" if result.details["cause"] else ""
    if known is None:
        return f"{result.service_name} {result.status.value.lower()}{cause}, first check"
    lasted = duration((moment - parse_rfc3339(known["since"])).total_seconds())
    return f"{result.service_name} {result.status.value.lower()}{cause}, was {known['status'].lower()} for {lasted}"


def last_verdict(results: Sequence[ServiceHealth]) -> str:
    """Say in one line how all services are."""
    ill = [result for result in results if not result.healthy]
    if not ill:
        return f"all {len(results)} services healthy"
    causes = ", ".join(f"{r.service_name} {r.status.value.lower()} -> {r.details['cause']}" for r in ill)
    return f"{len(ill)} of {len(results)} services not healthy: {causes}"


def duration(seconds: float) -> str:
    """Write a duration in its two largest units: 45s, 3m, 2h5m, 3d4h."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}s"
    units = [(left // 86_400, "d"), (left % 86_400 // 3600, "h"), (left % 3600 // 60, "m")]
    first = next(index for index, (count, _) in enumerate(units) if count)
    return "".join(f"{count}{unit}" for count, unit in units[first : first + 2] if count)


def _write_line(history: int, line: bytes, end: int) -> None:
    """Write a whole line at ``end``, or none of it."""
    try:
        written = os.pwrite(history, line, end)
        os.fdatasync(history)
    except OSError:
        os.ftruncate(history, end)
        raise
    if written != len(line):
        os.ftruncate(history, end)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _without_torn_line(history: int) -> int:
    """Cut off what a killed run left behind the last complete line, and return the size."""
    size = os.fstat(history).st_size
    end = size
    while end > 0:
        start = max(0, end - 65_536)
        block = os.pread(history, end - start, start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        os.ftruncate(history, end)
    return end
