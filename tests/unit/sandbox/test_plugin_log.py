"""A plugin's stderr as log records; the rest of it is tested with real processes."""

import asyncio
import logging
import tracemalloc

import pytest

from flexcore.application.ports import PluginRequest
from flexcore.infrastructure.sandbox.plugin_log import LONGEST_LINE, relay
from tests.unit.application.doubles import code

REQUEST = PluginRequest("e", code("p"), "run", {}, 1, "c")


class EndlessLine(asyncio.StreamReader):
    """64 MiB without the end of a line, made as it is read."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 64 << 20

    async def read(self, n: int = -1) -> bytes:
        chunk = b"x" * min(n, self._left)
        self._left -= len(chunk)
        return chunk


def test_a_line_without_end_takes_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        await relay(EndlessLine(), REQUEST)

    tracemalloc.start()
    try:
        with caplog.at_level(logging.INFO):
            asyncio.run(run())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caplog.messages == ["x" * LONGEST_LINE]
    assert peak < 4 << 20
