"""A FlexCore server as a child process, as an operator runs it."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

TOKEN = "integration-token-0123456789"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
_PROGRAM = Path(sys.executable).with_name("flexcore")


def run_command(*arguments: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `flexcore` to its end with exactly these variables."""
    return subprocess.run(
        [str(_PROGRAM), *arguments],
        env={"PATH": os.defpath, **environ},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class FlexCoreProcess:
    """`flexcore serve` on a free port. Every line that it logs is kept."""

    def __init__(self, environ: Mapping[str, str], *arguments: str) -> None:
        variables = {"FLEXCORE_PORT": "0", "FLEXCORE_API_TOKEN": TOKEN, "FLEXCORE_NODE_ID": "core1", **environ}
        self._process = subprocess.Popen(
            [str(_PROGRAM), "serve", *arguments],
            env={"PATH": os.defpath, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._may_read = threading.Event()
        self._may_read.set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def wait_for_log(self, message: str) -> dict[str, Any]:
        """Return the next record that begins with `message`; fails when the process ends or stays silent."""
        while True:
            line = self._lines.get(timeout=START_SECONDS)
            if line is None:
                raise AssertionError(f"flexcore ended without saying {message!r}: {self.stderr()}")
            if line["message"].startswith(message):
                return line

    def client(self, *, token: str | None = TOKEN) -> httpx.Client:
        """Open a client for the server, which waits for it to listen."""
        if not hasattr(self, "url"):
            self.url = self.wait_for_log("listening on ")["fields"]["url"]
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=10.0, trust_env=False)

    @contextlib.contextmanager
    def unread(self) -> Iterator[None]:
        """Leave what the server logs unread for the length of a block."""
        self._may_read.clear()
        try:
            yield
        finally:
            self._may_read.set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(STOP_SECONDS)
        if self._may_read.is_set():
            self._reader.join(STOP_SECONDS)
        return code

    def stderr(self) -> str:
        """Return what the ended process wrote to stderr."""
        assert self._process.stderr is not None
        self._process.wait(STOP_SECONDS)
        return self._process.stderr.read()

    def end(self) -> None:
        """Kill the process if it still runs and free what belongs to it."""
        self._process.kill()
        self.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            self._may_read.wait()
            line = json.loads(text)
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)


@contextlib.contextmanager
def running(environ: Mapping[str, str], *arguments: str) -> Iterator[FlexCoreProcess]:
    """Run a server for the length of a block."""
    process = FlexCoreProcess(environ, *arguments)
    try:
        yield process
    finally:
        process.end()
