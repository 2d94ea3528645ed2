"""What the server's own process uses, from /proc."""

import os
import re
import time
from pathlib import Path
from platform import python_version
from typing import Final

from flexcore.application.ports import PluginCodes, PluginRunner
from flexcore.application.runtime import Memory, Process

_STATUS: Final = Path("/proc/self/status")
_FIGURE: Final = re.compile(r"^(\w+):\s+(\d+)", re.MULTILINE)


def measure(runner: PluginRunner, codes: PluginCodes) -> Process:
    """Look at this process and at what `runner` runs of `codes`."""
    figures = {name: int(value) for name, value in _FIGURE.findall(_STATUS.read_text())}
    memory = Memory(
        resident_mb=_megabytes(figures["VmRSS"]),
        peak_resident_mb=_megabytes(figures["VmHWM"]),
        plugins_mb=round(sum(runner.usage(plugin_id).memory_mb for plugin_id in codes.all()), 1),
    )
    return Process(os.getpid(), python_version(), figures["Threads"], round(time.process_time(), 3), memory)


def _megabytes(kibibytes: int) -> float:
    return round(kibibytes / 1024, 1)
