"""The servers that the tests start: never missed silently, and gone with the test process."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import MissingServer, PostgresServer, RedisServer, wait_until
from tests.servers.server import clear_up, find_program

TEST_RUN = """
import sys
from tests.crash.disk import SmallDisk
from tests.servers import PostgresServer, RedisServer
for server in (PostgresServer(), RedisServer(), SmallDisk(1)):
    server.start()
    print(server.pid, server.directory, flush=True)
sys.stdin.read()
"""


def test_a_missing_program_is_an_error_that_names_its_package() -> None:
    with pytest.raises(MissingServer, match="need the program 'no-such-server'; install the package 'some-package'"):
        find_program("no-such-server", "some-package")


def test_a_test_run_that_is_killed_leaves_nothing() -> None:
    root = Path(__file__).parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", TEST_RUN], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdin is not None
    assert run.stdout is not None
    started = [run.stdout.readline().split() for _ in range(3)]
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdin.close()
    run.stdout.close()
    for pid, _ in started:
        wait_until(lambda pid=pid: not running(pid), 10, f"end of server {pid}")

    def cleared() -> bool:
        clear_up()
        return not any(Path(directory).exists() for _, directory in started)

    # The next run does this: the killed one could not.
    wait_until(cleared, 10, "removal of the directories left behind")


def running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_server_comes_back_with_its_data(
    faulty_postgres: PostgresServer, faulty_redis: RedisServer, empty_database: str
) -> None:
    with faulty_postgres.connect(database=empty_database) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with faulty_redis.connect() as client:
        client.set("flexcore:kept", "42")
    for server in (faulty_postgres, faulty_redis):
        port = server.port
        server.kill()
        assert not server.running
        server.start()
        assert server.port == port
    with faulty_postgres.connect(database=empty_database) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    with faulty_redis.connect() as client:
        assert client.get("flexcore:kept") == b"42"
