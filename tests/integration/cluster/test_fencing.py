"""A leader that was paused, and writes on in its old term when it wakes, writes nothing."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import PostgresServer, wait_until

ROOT = Path(__file__).parents[3]
SAID_SECONDS = 30.0


class Leader:
    """One process of `stubborn_leader`."""

    def __init__(self, environ: dict[str, str], node_id: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.cluster.stubborn_leader", node_id],
            cwd=ROOT,
            env={"PATH": os.defpath, "PYTHONPATH": "src", **environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, word: str) -> None:
        """Return when the process says `word`; what it says before that is passed over."""
        deadline = time.monotonic() + SAID_SECONDS
        while self._said.get(timeout=max(0.0, deadline - time.monotonic())) != word:
            pass

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line.strip())


@contextmanager
def leader(environ: dict[str, str], node_id: str) -> Iterator[Leader]:
    started = Leader(environ, node_id)
    try:
        yield started
    finally:
        started.end()


@pytest.fixture
def written(postgres_server: PostgresServer, database_name: str) -> Iterator[PostgresServer]:
    """The table in which leaders note their term."""
    with postgres_server.connect(database=database_name) as connection:
        connection.execute("CREATE TABLE written (number bigserial PRIMARY KEY, token bigint NOT NULL)")
        connection.execute("GRANT ALL ON written, written_number_seq TO flexcore")
        yield postgres_server
        connection.execute("DROP TABLE written")


def test_nothing_of_an_earlier_term_is_written_in_a_later_one(
    written: PostgresServer, database_name: str, environ: dict[str, str]
) -> None:
    def tokens() -> list[int]:
        with written.connect(database=database_name) as connection:
            return [row[0] for row in connection.execute("SELECT token FROM written ORDER BY number").fetchall()]

    with leader(environ, "a") as first:
        first.wait_for("written")
        with leader(environ, "b") as second:
            first.process.send_signal(signal.SIGSTOP)
            second.wait_for("written")
            first.process.send_signal(signal.SIGCONT)
            for _ in range(3):
                first.wait_for("refused")
            size = len(tokens())
            wait_until(lambda: len(tokens()) > size + 5, 10, "the new leader's writing on")
    found = tokens()
    assert len(set(found)) == 2
    assert found == sorted(found)
