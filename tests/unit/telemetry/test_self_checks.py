"""Probes of what the node itself brings along."""

import asyncio
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.telemetry.self_checks import DiskProbe, JobQueueProbe, PluginRuntimeProbe


def disk(monkeypatch: pytest.MonkeyPatch, *, free: int, blocks: int) -> DiskProbe:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free, f_blocks=blocks, f_frsize=1 << 20))
    return DiskProbe(Path("/"))


def test_a_disk_with_room_works(monkeypatch: pytest.MonkeyPatch) -> None:
    result = asyncio.run(disk(monkeypatch, free=2048, blocks=8192).check())
    assert result.message == "2.0 GiB (25%) free for temporary files"


def test_a_full_disk_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"less than 5%; make room"):
        asyncio.run(disk(monkeypatch, free=100, blocks=8192).check())


def test_the_job_queue_tells_how_busy_it_is() -> None:
    plugins = SimpleNamespace(active_executions=3, slots=8)
    assert asyncio.run(JobQueueProbe(plugins).check()).message == "3 of 8 execution slots busy; nothing is queued"


def test_plugins_can_run_where_there_are_some() -> None:
    runner = SimpleNamespace(manifests={"json-processor": None})
    assert asyncio.run(PluginRuntimeProbe(runner).check()).message.startswith("1 plugins can run here")


def test_without_plugins_or_interpreter_none_can(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"there is no plugin to run"):
        asyncio.run(PluginRuntimeProbe(SimpleNamespace(manifests={})).check())
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match=r"interpreter that runs plugins is gone"):
        asyncio.run(PluginRuntimeProbe(SimpleNamespace(manifests={"p": None})).check())
