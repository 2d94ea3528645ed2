"""Probes of what the node itself brings along."""

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.telemetry.self_checks import DiskProbe


def disk(monkeypatch: pytest.MonkeyPatch, *, free: int, blocks: int) -> DiskProbe:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=free, f_blocks=blocks, f_frsize=1 << 20))
    return DiskProbe(Path("/"))


def test_a_disk_with_room_works(monkeypatch: pytest.MonkeyPatch) -> None:
    result = asyncio.run(disk(monkeypatch, free=2048, blocks=8192).check())
    assert result.message == "2.0 GiB (25%) free for temporary files"


def test_a_full_disk_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=r"less than 5%; make room"):
        asyncio.run(disk(monkeypatch, free=100, blocks=8192).check())


class HungSystem:
    """A system call that hangs until it is released."""

    LONGEST_SECONDS = 10.0

    def __init__(self, answer: object) -> None:
        self.calls = 0
        self.entered, self.released, self.left = threading.Event(), threading.Event(), threading.Event()
        self._answer = answer

    def __call__(self, *arguments: object) -> Any:
        self.calls += 1
        self.entered.set()
        self.released.wait(self.LONGEST_SECONDS)
        self.left.set()
        return self._answer


def test_a_hung_file_system_holds_up_neither_the_loop_nor_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = HungSystem(SimpleNamespace(f_bavail=1, f_blocks=1, f_frsize=1))
    monkeypatch.setattr(os, "statvfs", hung)
    probed = DiskProbe(Path("/"))

    async def ask_twice_in_vain() -> None:
        for _ in range(2):
            check = asyncio.ensure_future(probed.check())
            await asyncio.sleep(0)
            while not hung.entered.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0)
            check.cancel()
            await asyncio.wait({check})

    # On the loop the call would last to its end; in the loop's own threads, the loop could not be closed before it.
    asyncio.run(ask_twice_in_vain())
    assert not hung.left.is_set()
    assert hung.calls == 1

    async def ask_once_more() -> None:
        check = asyncio.ensure_future(probed.check())
        await asyncio.sleep(0)
        hung.released.set()
        assert (await check).message

    asyncio.run(ask_once_more())
    assert hung.calls == 1
    asyncio.run(probed.check())
    assert hung.calls == 2
