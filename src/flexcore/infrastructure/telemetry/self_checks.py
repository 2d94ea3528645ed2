"""Probes of what the node itself brings along: its disk."""

import os
from pathlib import Path
from typing import Final

from flexcore.application.ports import ProbeResult
from flexcore.domain.errors import Unavailable
from flexcore.infrastructure.telemetry.blocking import BlockingCall

LEAST_FREE_SHARE: Final = 0.05
_GIBIBYTE: Final = 1 << 30


class DiskProbe:
    """Checks that the file system of `path` has room."""

    name: Final = "disk"

    def __init__(self, path: Path) -> None:
        self._measured = BlockingCall(lambda: os.statvfs(path), name="disk measurement")

    async def check(self) -> ProbeResult:
        """Measure; raises Unavailable below 5 % free, and OSError."""
        usage = await self._measured.result()
        free_share = usage.f_bavail / usage.f_blocks if usage.f_blocks else 1.0
        message = f"{usage.f_bavail * usage.f_frsize / _GIBIBYTE:.1f} GiB ({free_share:.0%}) free for temporary files"
        if free_share < LEAST_FREE_SHARE:
            raise Unavailable(self.name, f"{message}, less than {LEAST_FREE_SHARE:.0%}; make room")
        return ProbeResult(None, message)
