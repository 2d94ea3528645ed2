"""Asks `GET /health` fifty times a second, in a process of its own so that no other client holds it up.

`python -m tests.bench.health_sampler <host> <port> <seconds>` prints the answer times in milliseconds as a JSON list.
"""

import json
import statistics
import subprocess
import sys
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

INTERVAL_SECONDS = 0.02


class HealthSampler:
    """Such a process, for the server at `url`."""

    def __init__(self, url: str, seconds: float) -> None:
        address = urlsplit(url)
        command = [sys.executable, "-m", __name__, str(address.hostname), str(address.port), str(seconds)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._seconds = seconds

    @property
    def running(self) -> bool:
        """Whether it still asks."""
        return self._process.poll() is None

    def p95(self) -> float:
        """Wait for its end and return the time that 95 of 100 answers did not exceed, in milliseconds."""
        output, _ = self._process.communicate(timeout=self._seconds + 60)
        return statistics.quantiles(json.loads(output), n=20)[-1]


def main(host: str, port: str, seconds: str) -> None:
    connection = HTTPConnection(host, int(port), timeout=30)
    times = []
    due = time.perf_counter()
    end = due + float(seconds)
    while due < end:
        time.sleep(max(0.0, due - time.perf_counter()))
        begun = time.perf_counter()
        connection.request("GET", "/health")
        connection.getresponse().read()
        times.append((time.perf_counter() - begun) * 1000)
        due += INTERVAL_SECONDS
    print(json.dumps(times))  # noqa: T201 - what it is started for


if __name__ == "__main__":
    main(*sys.argv[1:])
