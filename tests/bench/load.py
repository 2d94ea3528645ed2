"""HTTP load from wrk, on loopback and bounded in time."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.bench.appending import Measured

CONNECTIONS = 64
SECONDS = 2


def requests_per_second(url: str) -> float:
    """Ask `url` over 64 connections for two seconds; raises RuntimeError when an answer was no success."""
    command = [_wrk(), "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url]
    if (os.cpu_count() or 1) > 1:
        command = ["taskset", "-c", "1", *command]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"not every answer was a success:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None:
        raise RuntimeError(f"wrk said nothing of its rate:\n{output}")
    return float(found[1])


def post_events(url: str, token: str, *, seconds: int) -> Measured:
    """Append events over 64 connections, each waiting for its answer; raises RuntimeError when one was no success."""
    return _post("post_events.lua", url, token, connections=CONNECTIONS, seconds=seconds)


def post_executions(url: str, token: str, *, connections: int, seconds: int) -> Measured:
    """Execute a plugin over some connections, each waiting for its answer; raises RuntimeError as above."""
    return _post("execute.lua", url, token, connections=connections, seconds=seconds)


def _post(script: str, url: str, token: str, *, connections: int, seconds: int) -> Measured:
    path = Path(__file__).with_name(script)
    # An answer that is late is late, and no failure: wrk would not wait longer than two seconds.
    options = f"-t1 -c{connections} -d{seconds}s --timeout 30s".split()
    command = [_wrk(), *options, "-s", str(path), url, "--", token]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figures = json.loads(output.splitlines()[-1])
    if figures["not_successful"] or figures["broken"]:
        raise RuntimeError(f"not every answer was a success:\n{output}")
    return Measured(figures["requests"] / figures["seconds"], figures["p50_ms"], figures["p99_ms"])


def _wrk() -> str:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("the benchmark needs wrk: apt-get install wrk")
    return wrk


def pin_to_first_cpu(pid: int) -> None:
    """Keep a server and all its threads off the load generator's CPU."""
    subprocess.run(["taskset", "-acp", "0", str(pid)], capture_output=True, check=True)
