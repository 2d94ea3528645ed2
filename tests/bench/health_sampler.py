"""Asks `GET /health` fifty times a second, in a process of its own so that no other client holds it up.

`python -m tests.bench.health_sampler <host> <port> <seconds>` prints the answer times in milliseconds as a JSON list.
"""

import json
import sys
import time
from http.client import HTTPConnection

INTERVAL_SECONDS = 0.02


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
