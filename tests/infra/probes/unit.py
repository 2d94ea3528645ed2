"""How a systemd unit runs: what systemd says, what the kernel grants its main process, how exposed it is."""

import pathlib
import re
import subprocess
import time

# A oneshot unit that runs right now says nothing about its last run; it gets this long to end.
RUN_SECONDS = 30
KERNEL = ("Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")


def say(*command):
    """What a command prints, whatever its exit status."""
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


def process(pid):
    """What the kernel says of a process, the first word of each field; empty when there is no such process."""
    status = pathlib.Path("/proc", pid, "status")
    if pid == "0" or not status.exists():
        return {}
    fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
    return {name: fields[name].split()[0] for name in KERNEL}


def collect(unit):
    """Properties of `unit`, its main process, its exposure level (0 to 10, None if unknown) and its status page."""
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        status = say("systemctl", "status", "--no-pager", "--full", "--lines", "3", unit)
        shown = say("systemctl", "show", "--no-pager", unit)
        properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        # Both, for a run may begin or end between the two.
        runs = "Active: activating" in status or properties.get("ActiveState") == "activating"
        if not runs or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", say("systemd-analyze", "security", "--no-pager", unit))
    return {
        "properties": properties,
        "process": process(properties.get("MainPID", "0")),
        "exposure": float(exposure[1]) if exposure else None,
        "status": status,
    }
