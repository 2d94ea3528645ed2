"""The memory of the scheduled check: what it says, what it keeps, and what a crash leaves."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flexcore_client.errors import InputError
from flexcore_client.models import HealthStatus, ServiceHealth

from flext_cli.health import record_results
from flext_cli.record import Record, duration, last_verdict

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def result(status: str = "HEALTHY", cause: str | None = None, name: str = "flexcore") -> ServiceHealth:
    details = {"url": "http://core1:8080", "service": "flexcore", "cause": cause, "culprit": None}
    return ServiceHealth(name, HealthStatus(status), 1.0, "1", 5, "2026-11-20T12:00:00.000Z", details)


def add(directory: Path, seconds: float, *results: ServiceHealth, history_bytes: int = 1_000_000) -> list[str]:
    with Record(directory, history_bytes) as record:
        return record.add(results, START + timedelta(seconds=seconds))


def history(directory: Path, name: str = "history.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / name).read_text().splitlines()]


def test_a_line_only_when_a_state_changes(tmp_path: Path) -> None:
    refused = result("UNHEALTHY", "postgresql: connection refused")
    said = [
        add(tmp_path, 0, result()),
        add(tmp_path, 15, result()),
        add(tmp_path, 180, refused),
        add(tmp_path, 195, result("UNHEALTHY", "postgresql: no route to host")),
        add(tmp_path, 240, result()),
    ]
    assert said == [
        ["flexcore healthy, first check"],
        [],
        ["flexcore unhealthy -> postgresql: connection refused, was healthy for 3m"],
        [],
        ["flexcore healthy, was unhealthy for 1m"],
    ]
    assert [entry["healthy"] for entry in history(tmp_path)] == [True, True, False, False, True]
    assert history(tmp_path)[2]["services"][0]["cause"] == "postgresql: connection refused"


def test_each_service_has_its_own_state(tmp_path: Path) -> None:
    add(tmp_path, 0, result(), result(name="redis"))
    assert add(tmp_path, 30, result(), result("UNKNOWN", "odd", "redis")) == [
        "redis unknown -> odd, was healthy for 30s"
    ]
    assert add(tmp_path, 60, result()) == []
    assert json.loads((tmp_path / "state.json").read_text())["services"].keys() == {"flexcore"}


@pytest.mark.parametrize("torn", [b'{"checked_at":"2026', b'{"a": 1}\n{"b"', b"x" * 200_000, b""])
def test_a_torn_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    whole = torn[: torn.rfind(b"\n") + 1]
    (tmp_path / "history.jsonl").write_bytes(torn)
    add(tmp_path, 0, result())
    assert (tmp_path / "history.jsonl").read_bytes().startswith(whole + b'{"checked_at"')
    assert len(history(tmp_path)) == whole.count(b"\n") + 1


@pytest.mark.parametrize(
    "state", ["", "{", "[]", '{"services": {"flexcore": {"status": "HEALTHY"}}}', '{"services": 3}']
)
def test_a_state_that_cannot_be_read_counts_as_none(tmp_path: Path, state: str) -> None:
    (tmp_path / "state.json").write_text(state)
    assert add(tmp_path, 0, result()) == ["flexcore healthy, first check"]
    assert add(tmp_path, 15, result()) == []


def test_a_clock_that_went_back_does_not_give_a_negative_time(tmp_path: Path) -> None:
    add(tmp_path, 100, result())
    assert add(tmp_path, 0, result("DEGRADED", "slow")) == ["flexcore degraded -> slow, was healthy for 0s"]


def test_the_history_is_bounded(tmp_path: Path) -> None:
    for number in range(40):
        add(tmp_path, number, result(), history_bytes=2000)
    sizes = [(tmp_path / name).stat().st_size for name in ("history.jsonl", "history.1.jsonl")]
    assert all(0 < size <= 2000 for size in sizes)
    kept = [*history(tmp_path, "history.1.jsonl"), *history(tmp_path)]
    moments = [entry["checked_at"] for entry in kept]
    assert moments == sorted(moments)
    assert moments[-1] == "2026-11-20T12:00:39.000Z"
    assert {path.name for path in tmp_path.iterdir()} == {"history.jsonl", "history.1.jsonl", "state.json", "lock"}


def test_a_full_disk_leaves_the_history_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, 0, result())
    before = (tmp_path / "history.jsonl").read_bytes()
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, data[:10], offset))
    with pytest.raises(InputError, match=r"history in .* cannot be kept: No space left on device"):
        record_results(tmp_path, [result()])
    assert (tmp_path / "history.jsonl").read_bytes() == before


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be kept"):
        record_results(tmp_path / "file" / "below", [result()])


@pytest.fixture(params=["path", "abstract"])
def notifications(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@flexcore-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0") if name.startswith("@") else name)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


def test_the_verdict_is_the_status_of_the_unit(
    notifications: socket.socket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_results(tmp_path / "record", [result(), result("UNHEALTHY", "connection refused", "redis")])
    assert (
        notifications.recv(4096).decode() == "STATUS=1 of 2 services not healthy: redis unhealthy -> connection refused"
    )
    assert capsys.readouterr().out.splitlines() == [
        "flexcore healthy, first check",
        "redis unhealthy -> connection refused, first check",
    ]


def test_without_systemd_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    record_results(tmp_path, [result()])


def test_the_verdict_when_all_is_well() -> None:
    assert last_verdict([result(), result(name="redis")]) == "all 2 services healthy"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (7500, "2h5m"),
        (273_600, "3d4h"),
        (86_460, "1d"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
