"""Probes that reach for another execution of the same plugin: one that runs beside it, or ran before."""

import os
import sys
import time
from pathlib import Path

MARK = "flexcore-escape-sibling"
PLACES = ("/home", "/home/plugin", "/tmp", "/var/tmp", "/dev/shm", "/run", ".")
HOLD_SECONDS = 1.5


def hold(host):
    """Not an attempt: leaves traces wherever it can, and stays for a while."""
    sys.modules[MARK] = sys
    os.environ[MARK] = "held"
    for place in PLACES:
        try:
            Path(place, MARK).write_text("held")
        except OSError:
            continue
    time.sleep(HOLD_SECONDS)


def find_traces_of_others(host):
    """What `hold` leaves, found by another."""
    if MARK in sys.modules or MARK in os.environ:
        return "shares memory with another execution"
    for place in PLACES:
        for directory, _, names in os.walk(place):
            if MARK in names:
                return f"found {directory}/{MARK}"
    return None
